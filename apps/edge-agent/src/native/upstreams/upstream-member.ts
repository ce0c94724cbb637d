import type { Upstream } from '@lockstep/contract';
import { hashOf } from './text-hash.ts';
import type { WatchedHealth } from './watched-health.ts';

/** What a worker keeps count of at an upstream of a route; a new revision of the route goes on with it. */
export interface MemberLoad {
  /** Requests without a complete answer, and open tunnels. */
  inFlight: number;
  /** How far its share of the turns is ahead, in weights. */
  credit: number;
}

/** A request that can be told that its upstream is not well. */
export interface MemberRequest {
  /** One that waits for a connection goes elsewhere; one that was sent and had nothing back as well, where its upstream `isDead`. */
  moveOn(isDead: boolean): void;
}

export interface UpstreamMemberOptions {
  place: number;
  identity: string;
  upstream: Upstream;
  load: MemberLoad;
  health: WatchedHealth | null;
  slowStartMs: number;
}

/** An upstream as one of those of a route that deals requests out otherwise than in turn, or looks at their health. */
export class UpstreamMember {
  readonly place: number;
  /** What tells it from the others of the route. */
  readonly identity: string;
  readonly weight: number;
  readonly backup: boolean;
  /** For choices by hash. */
  readonly seed: number;
  readonly load: MemberLoad;
  /** Null where nothing is known of its health. */
  readonly health: WatchedHealth | null;
  readonly slowStartMs: number;
  /** Requests that are with it, where its health is known. */
  readonly #requests = new Set<MemberRequest>();

  constructor(options: UpstreamMemberOptions) {
    const { url, weight = 1, backup = false } = options.upstream;
    this.place = options.place;
    this.identity = options.identity;
    this.weight = weight;
    this.backup = backup;
    this.seed = hashOf(url);
    this.load = options.load;
    this.health = options.health;
    this.slowStartMs = options.slowStartMs;
  }

  join(request: MemberRequest): void {
    this.load.inFlight += 1;
    if (this.health !== null) this.#requests.add(request);
  }

  leave(request: MemberRequest): void {
    this.load.inFlight -= 1;
    if (this.health !== null) this.#requests.delete(request);
  }

  /** To be called when its health changed, once the choice knows. */
  sendAway(): void {
    if (this.health === null || this.health.available) return;
    for (const request of [...this.#requests]) {
      // One that moves on may make others do so.
      if (this.#requests.has(request)) request.moveOn(!this.health.well);
    }
  }

  /**
   * It may get this request. One that has just rested gets them one by one, until one of them went well, and only such as can be sent to another where
   * it did not.
   */
  available(now: number, { mayGoTwice }: { mayGoTwice: boolean }): boolean {
    const { health } = this;
    if (health === null) return true;
    return health.available && (!health.onTrial(now) || (mayGoTwice && this.load.inFlight === 0));
  }

  /** What it is to get now of all requests: of one that became well again, a growing part of its weight. */
  share(now: number): number {
    const at = this.health?.recoveredAt ?? 0;
    if (now === 0 || this.slowStartMs === 0 || at === 0) return this.weight;
    const part = (now - at) / this.slowStartMs;
    return part >= 1 ? this.weight : this.weight * Math.max(part, leastPart);
  }

  get warmUntil(): number {
    const at = this.health?.recoveredAt ?? 0;
    return at === 0 ? 0 : at + this.slowStartMs;
  }
}

const leastPart = 0.05;
