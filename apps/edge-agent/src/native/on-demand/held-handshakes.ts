import type { SecureContext } from 'node:tls';
import type { Boundary } from '@lockstep/contract';

const maxHeld = 1_000;
const maxHeldPerClient = 100;

export interface HeldHandshakesOptions {
  boundary: Boundary;
  /** The context for a host, once there is one. */
  find(host: string): SecureContext | null;
  /** Somebody may be asked about the host, on behalf of a client; once for however many handshakes that wait for both. */
  onAsk(host: string, client: string): void;
  /** Nobody waits for the host any more. */
  onEnough(host: string): void;
  /** In all. Default 1,000. */
  maxHeld?: number;
  /** Default 100. */
  maxHeldPerClient?: number;
}

export interface HoldRequest {
  host: string;
  client: string;
  holdMs: number;
  /** Called once: with the context as soon as there is one, or with null when the host is refused or the time is over. */
  settle(context: SecureContext | null): void;
}

/** Handshakes that wait for a certificate which somebody is asked for. */
export interface HeldHandshakes {
  /** Returns what frees the place without settling, for a client that went away; null when there is no place. */
  hold(request: HoldRequest): (() => void) | null;
  /** The certificates changed: handshakes whose certificate is there now go on. */
  proceed(): void;
  /** Ends those that wait for a host; of one client, or of all. */
  refuse(host: string, client: string | null): void;
  refuseAll(): void;
  readonly count: number;
}

interface Waiting extends HoldRequest {
  timer: NodeJS.Timeout;
}

export function createHeldHandshakes(options: HeldHandshakesOptions): HeldHandshakes {
  const byHost = new Map<string, Set<Waiting>>();
  const perClient = new Map<string, number>();
  let count = 0;

  function free(waiting: Waiting): boolean {
    const { host, client, timer } = waiting;
    const all = byHost.get(host);
    if (all === undefined || !all.delete(waiting)) return false;
    clearTimeout(timer);
    count -= 1;
    const left = perClient.get(client)! - 1;
    if (left === 0) perClient.delete(client);
    else perClient.set(client, left);
    if (all.size === 0) {
      byHost.delete(host);
      options.onEnough(host);
    }
    return true;
  }

  function settle(waiting: Waiting, context: SecureContext | null): void {
    if (free(waiting)) waiting.settle(context);
  }

  return {
    hold(request) {
      const { host, client, holdMs } = request;
      const ofClient = perClient.get(client) ?? 0;
      if (count >= (options.maxHeld ?? maxHeld)) return null;
      if (ofClient >= (options.maxHeldPerClient ?? maxHeldPerClient)) return null;
      const waiting: Waiting = {
        ...request,
        timer: setTimeout(
          options.boundary.guard('handshake', () => settle(waiting, null)),
          holdMs,
        ),
      };
      const all = byHost.get(host) ?? new Set();
      const asked = ofClient > 0 && [...all].some((one) => one.client === client);
      byHost.set(host, all.add(waiting));
      perClient.set(client, ofClient + 1);
      count += 1;
      if (!asked) options.onAsk(host, client);
      return () => void free(waiting);
    },
    proceed() {
      for (const [host, all] of byHost) {
        const context = options.find(host);
        if (context !== null) for (const waiting of all) settle(waiting, context);
      }
    },
    refuse(host, client) {
      for (const waiting of byHost.get(host) ?? []) {
        if (client === null || waiting.client === client) settle(waiting, null);
      }
    },
    refuseAll() {
      for (const all of byHost.values()) for (const waiting of all) settle(waiting, null);
    },
    get count() {
      return count;
    },
  };
}
