import type { RouteHealth, Upstream } from '@lockstep/contract';

/** An upstream of a route in force that says how its health is known. */
export interface WatchedUpstream {
  /** `healthKeyOf` it. */
  key: string;
  upstream: Upstream;
  health: RouteHealth;
}

/** How an upstream is, for all processes of an edge alike. Times are milliseconds since 1970. */
export interface HealthVerdict {
  key: string;
  /** By the active checks; true while there has been none. */
  well: boolean;
  /** When it became well again; 0: it was never found otherwise. */
  recoveredAt: number;
  /** It failed requests, and gets none until then; 0: it does. */
  restsUntil: number;
}

/** Decides once for the whole edge which upstreams are well. */
export interface UpstreamHealth {
  /** This one needs to know of these; it is told at once of those that are otherwise than at first. */
  watch(watcher: HealthWatcher, upstreams: readonly WatchedUpstream[]): void;
  unwatch(watcher: HealthWatcher, keys: readonly string[]): void;
  /** It has ended. */
  gone(watcher: HealthWatcher): void;
  /** Requests of this one's to the upstream failed too often, the last of them by this cause. */
  failed(watcher: HealthWatcher, key: string, reason: string): void;
  /** Of all that are otherwise than at first: for a process that begins. */
  verdicts(): HealthVerdict[];
}

/** A process that chooses upstreams. */
export interface HealthWatcher {
  tell(verdicts: readonly HealthVerdict[]): void;
}
