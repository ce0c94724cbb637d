import { AppError, type RouteRecord, type Upstream } from '@lockstep/contract';
import { BalancedChoice } from './balanced-choice.ts';
import type { HealthBoard } from './health-board.ts';
import { RetryBudget } from './retry-budget.ts';
import { createStickyCookie, type StickyCookie } from './sticky-cookie.ts';
import { RoundRobin, type UpstreamChoice } from './upstream-choice.ts';
import { type MemberLoad, UpstreamMember } from './upstream-member.ts';

/** What a route says of how its requests are dealt out. */
export interface BalancedRoute extends Pick<RouteRecord, 'balance' | 'health' | 'retries'> {
  readonly upstreams: readonly Upstream[];
}

/** How the requests of a route are dealt to its upstreams. What the route says nothing of is null, and costs nothing. */
export interface Balancing {
  readonly choice: UpstreamChoice;
  /** By their places, what is counted and known of each. */
  readonly members: readonly UpstreamMember[] | null;
  readonly sticky: StickyCookie | null;
  readonly retries: RetryBudget | null;
  close(): void;
}

export interface BalancingOptions {
  route: BalancedRoute;
  /** The id of the route. */
  id: string;
  health: HealthBoard;
  /** The same at all edges of the fleet. */
  secret: string;
  /** That of the revision before: what it counted, and whose turn it was, goes on. */
  before: Balancing | null;
}

const inTurn = { policy: 'round_robin' } as const;
const policies = new Set(['round_robin', 'least_requests', 'random_two', 'hash', 'first']);

export function createBalancing({ route, id, health, secret, before }: BalancingOptions): Balancing {
  const { upstreams, balance = inTurn, health: known } = route;
  // A later revision of Lockstep may know more.
  if (!policies.has(balance.policy))
    throw new AppError(
      'internal',
      `the policy "${balance.policy}" is not known to this revision of Lockstep`,
    );
  const retries = retriesOf(route, before);
  if (isPlain(route)) {
    // The turns of a route that says nothing more are its upstreams'.
    return { choice: new RoundRobin(upstreams.length), members: null, sticky: null, retries, close() {} };
  }
  const loads = loadsOf(before);
  const members = upstreams.map((upstream, place) => {
    const identity = identityOf(upstream);
    const watched = known === undefined ? null : health.acquire(upstream, known);
    const load = loads.get(identity) ?? { inFlight: 0, credit: 0 };
    return new UpstreamMember({
      place,
      upstream,
      identity,
      load,
      health: watched,
      slowStartMs: known?.slowStartMs ?? 0,
    });
  });
  const sticky =
    'sticky' in balance && balance.sticky !== undefined
      ? createStickyCookie({
          sticky: balance.sticky,
          upstreams: upstreams.map(identityOf),
          route: id,
          secret,
        })
      : null;
  const choice = new BalancedChoice({
    members,
    balance,
    sticky,
    tryAll: known?.noneHealthy !== 'refuse',
    turn: before?.choice instanceof BalancedChoice ? before.choice.turn : 0,
  });
  const onHealth = () => {
    choice.refresh();
    for (const member of members) member.sendAway();
  };
  for (const member of members) member.health?.listeners.add(onHealth);
  return {
    choice,
    members,
    sticky,
    retries,
    close() {
      for (const { health: watched } of members) {
        if (watched === null) continue;
        watched.listeners.delete(onHealth);
        health.release(watched);
      }
    },
  };
}

function isPlain({ upstreams, balance = inTurn, health }: BalancedRoute): boolean {
  return (
    health === undefined &&
    balance.policy === 'round_robin' &&
    !('sticky' in balance && balance.sticky !== undefined) &&
    upstreams.every(({ weight = 1, backup = false }) => weight === (upstreams[0]?.weight ?? 1) && !backup)
  );
}

function retriesOf({ retries }: BalancedRoute, before: Balancing | null): RetryBudget | null {
  if (retries === undefined) return null;
  return before?.retries?.isOf(retries) ? before.retries : new RetryBudget(retries);
}

function loadsOf(before: Balancing | null): Map<string, MemberLoad> {
  return new Map(before?.members?.map(({ identity, load }) => [identity, load]) ?? []);
}

/** What tells an upstream of a route from the others, however much it is to get. */
function identityOf({ weight, backup, ...reached }: Upstream): string {
  return JSON.stringify(reached);
}
