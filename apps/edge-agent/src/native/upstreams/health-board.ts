import { healthKeyOf, type RouteHealth, type Upstream } from '@lockstep/contract';
import type { HealthVerdict, WatchedUpstream } from '../../engine/upstream-health.ts';
import { WatchedHealth } from './watched-health.ts';

/** What a worker says to its supervisor about the health of upstreams. */
export interface HealthNews {
  /** It needs to know of these from now on, and of those no more. */
  watch(added: WatchedUpstream[], dropped: string[]): void;
  failed(key: string, reason: string): void;
}

/** What a worker knows of the health of the upstreams of its routes. */
export interface HealthBoard {
  acquire(upstream: Upstream, health: RouteHealth): WatchedHealth;
  release(health: WatchedHealth): void;
  tell(verdicts: readonly HealthVerdict[]): void;
  close(): void;
}

/** `known`: what the supervisor knew when this worker was started. */
export function createHealthBoard(news: HealthNews, known: readonly HealthVerdict[]): HealthBoard {
  const watched = new Map<string, WatchedHealth>();
  const before = new Map(known.map((verdict) => [verdict.key, verdict]));
  let added = new Map<string, WatchedUpstream>();
  let dropped = new Set<string>();

  /** Once a turn: a snapshot brings many, and a new revision of a route drops what it takes up again. */
  function say(): void {
    if (added.size + dropped.size > 0) return;
    setImmediate(() => {
      const [add, drop] = [[...added.values()], [...dropped]];
      added = new Map();
      dropped = new Set();
      if (add.length + drop.length > 0) news.watch(add, drop);
    });
  }

  return {
    acquire(upstream, health) {
      const key = healthKeyOf(upstream, health);
      let one = watched.get(key);
      if (one === undefined) {
        one = new WatchedHealth(key, health.passive, ({ key }, reason) => news.failed(key, reason));
        const verdict = before.get(key);
        if (verdict !== undefined) one.take(verdict, Date.now());
        before.delete(key);
        watched.set(key, one);
        say();
        dropped.delete(key);
        added.set(key, { key, upstream, health });
      }
      one.users += 1;
      return one;
    },
    release(one) {
      one.users -= 1;
      if (one.users > 0) return;
      watched.delete(one.key);
      one.close();
      say();
      if (!added.delete(one.key)) dropped.add(one.key);
    },
    tell(verdicts) {
      const now = Date.now();
      for (const verdict of verdicts) watched.get(verdict.key)?.take(verdict, now);
    },
    close() {
      for (const one of watched.values()) one.close();
    },
  };
}
