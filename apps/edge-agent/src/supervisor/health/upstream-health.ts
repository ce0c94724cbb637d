import type { Boundary, UpstreamState } from '@lockstep/contract';
import type { DeniedAddresses } from '@lockstep/pki/denied-addresses';
import type { Logger } from 'pino';
import type {
  HealthVerdict,
  HealthWatcher,
  UpstreamHealth,
  WatchedUpstream,
} from '../../engine/upstream-health.ts';
import { type ActiveCheck, createActiveCheck } from './active-check.ts';
import type { ProbeCertificate } from './probe-connection.ts';
import { createProbeGate } from './probe-gate.ts';

const probesAtOnce = 64;
/** What nobody watches any more is kept so long: a worker that died is replaced, and knows what it knew. */
const keptMs = 30_000;
/** A rest grows with each one in a row, up to so many times the first. */
const longestRest = 10;
/** One that fails again so soon after its rest has not become well by it. */
const relapseRests = 2;

export interface UpstreamHealthOptions {
  denied(): DeniedAddresses;
  /** By its id; null where the edge holds none. */
  clientCertificate(id: string): ProbeCertificate | null;
  log: Logger;
  boundary: Boundary;
  /** Some upstream became unwell, or well again. */
  onChange(): void;
  now?: () => number;
}

/** Both ends of what is known of upstreams: what engines ask for, and what is told of it. */
export interface UpstreamHealthBook extends UpstreamHealth {
  /** All that are watched, by key. */
  states(): UpstreamState[];
  /** Checks that passed and that failed, since the beginning. */
  readonly checks: { readonly passed: number; readonly failed: number };
  close(): void;
}

interface Entry {
  readonly watched: WatchedUpstream;
  readonly watchers: Set<HealthWatcher>;
  check: ActiveCheck | null;
  well: boolean;
  /** Since when `well` is what it is; null: no check has ended yet. */
  since: number | null;
  detail: string | null;
  checkedAt: number | null;
  recoveredAt: number;
  rest: { since: number; until: number; detail: string; row: number; timer: NodeJS.Timeout } | null;
  /** The last rest, while the next would be one in a row with it. */
  lastRest: { until: number; row: number } | null;
  unwatchedAt: number | null;
}

export function createUpstreamHealth(options: UpstreamHealthOptions): UpstreamHealthBook {
  const { denied, clientCertificate, log, boundary, onChange, now = Date.now } = options;
  const entries = new Map<string, Entry>();
  const gate = createProbeGate(probesAtOnce);
  const checks = { passed: 0, failed: 0 };
  let sweep: NodeJS.Timeout | null = null;

  function verdictOf({ watched, well, recoveredAt, rest }: Entry): HealthVerdict {
    return { key: watched.key, well, recoveredAt, restsUntil: rest?.until ?? 0 };
  }

  function isAsAtFirst({ well, recoveredAt, rest }: Entry): boolean {
    return well && recoveredAt === 0 && rest === null;
  }

  function tell(entry: Entry): void {
    const verdict = [verdictOf(entry)];
    for (const watcher of entry.watchers) watcher.tell(verdict);
    onChange();
  }

  function begin(watched: WatchedUpstream): Entry {
    const before = predecessorOf(watched);
    const entry: Entry = {
      watched,
      watchers: new Set(),
      check: null,
      well: before?.well ?? true,
      since: before?.since ?? null,
      detail: before?.detail ?? null,
      checkedAt: before?.checkedAt ?? null,
      recoveredAt: before?.recoveredAt ?? 0,
      rest: null,
      lastRest: null,
      unwatchedAt: null,
    };
    const { active } = watched.health;
    if (active !== undefined) {
      entry.check = createActiveCheck({
        check: active,
        before: entry.since === null ? null : entry.well,
        probe: () =>
          gate.run(async () => {
            const { probe } = await import('./probe.ts');
            return probe({ upstream: watched.upstream, check: active, denied, clientCertificate });
          }),
        onResult: ({ well, fault }) => onResult(entry, well, fault),
        boundary,
      });
    }
    entries.set(watched.key, entry);
    return entry;
  }

  /** What is known of the same upstream by the same question, which a new revision of a route asks at other times. */
  function predecessorOf({ upstream, health }: WatchedUpstream): Entry | null {
    if (health.active === undefined) return null;
    const asked = questionOf({ upstream, health });
    for (const entry of entries.values())
      if (entry.since !== null && entry.watched.upstream.url === upstream.url)
        if (questionOf(entry.watched) === asked) return entry;
    return null;
  }

  function onResult(entry: Entry, well: boolean, fault: string | null): void {
    const first = entry.since === null;
    const changed = first || well !== entry.well;
    checks[fault === null ? 'passed' : 'failed'] += 1;
    entry.checkedAt = now();
    // What it is at the moment: refused at first, and a time-out later.
    entry.detail = well ? null : (fault ?? entry.detail);
    if (!changed) return;
    entry.since = now();
    entry.well = well;
    if (well && first) {
      onChange();
      return;
    }
    entry.recoveredAt = well ? now() : 0;
    const { url } = entry.watched.upstream;
    if (well) log.info({ upstream: url }, 'an upstream is healthy again');
    else log.warn({ upstream: url, detail: fault }, 'an upstream is unhealthy');
    tell(entry);
  }

  function failed(key: string, detail: string): void {
    const entry = entries.get(key);
    const passive = entry?.watched.health.passive;
    // Several processes may find the same at once.
    if (entry === undefined || passive === undefined || entry.rest !== null) return;
    const at = now();
    const { lastRest } = entry;
    const inARow = lastRest !== null && at - lastRest.until < relapseRests * passive.coolDownMs;
    const row = inARow ? lastRest.row + 1 : 1;
    const restMs = passive.coolDownMs * Math.min(2 ** (row - 1), longestRest);
    const timer = setTimeout(
      boundary.guard('health', () => {
        entry.rest = null;
        entry.recoveredAt = now();
        log.info({ upstream: entry.watched.upstream.url }, 'an upstream is tried again');
        tell(entry);
      }),
      restMs,
    ).unref();
    entry.rest = { since: at, until: at + restMs, detail, row, timer };
    entry.lastRest = { until: at + restMs, row };
    log.warn(
      { upstream: entry.watched.upstream.url, detail, restMs },
      'an upstream failed requests and gets none for a while',
    );
    tell(entry);
  }

  function end(entry: Entry): void {
    entry.check?.close();
    clearTimeout(entry.rest?.timer);
    entries.delete(entry.watched.key);
  }

  function leave(watcher: HealthWatcher, entry: Entry | undefined): void {
    if (entry?.watchers.delete(watcher) !== true || entry.watchers.size > 0) return;
    entry.unwatchedAt = now();
    sweep ??= setTimeout(boundary.guard('health', endUnwatched), keptMs).unref();
  }

  function endUnwatched(): void {
    sweep = null;
    for (const entry of entries.values()) {
      if (entry.unwatchedAt === null) continue;
      if (now() - entry.unwatchedAt >= keptMs) end(entry);
      else sweep ??= setTimeout(boundary.guard('health', endUnwatched), keptMs).unref();
    }
    onChange();
  }

  return {
    watch(watcher, upstreams) {
      const known: HealthVerdict[] = [];
      for (const watched of upstreams) {
        const entry = entries.get(watched.key) ?? begin(watched);
        entry.watchers.add(watcher);
        entry.unwatchedAt = null;
        if (!isAsAtFirst(entry)) known.push(verdictOf(entry));
      }
      if (known.length > 0) watcher.tell(known);
    },
    unwatch(watcher, keys) {
      for (const key of keys) leave(watcher, entries.get(key));
    },
    gone(watcher) {
      for (const entry of entries.values()) leave(watcher, entry);
    },
    failed: (_watcher, key, detail) => failed(key, detail),
    verdicts() {
      return [...entries.values()].filter((entry) => !isAsAtFirst(entry)).map(verdictOf);
    },
    states: () => [...entries.values()].filter(({ unwatchedAt }) => unwatchedAt === null).map(stateOf),
    checks,
    close() {
      clearTimeout(sweep ?? undefined);
      for (const entry of entries.values()) end(entry);
    },
  };
}

function questionOf({ upstream, health: { active } }: Omit<WatchedUpstream, 'key'>): string {
  const { weight, backup, ...reached } = upstream;
  const { intervalMs, timeoutMs, healthyAfter, unhealthyAfter, ...question } = active ?? {};
  return JSON.stringify([reached, question]);
}

function stateOf({ watched, well, since, detail, checkedAt, rest }: Entry): UpstreamState {
  const common = {
    key: watched.key,
    url: watched.upstream.url,
    checkedAt: checkedAt === null ? null : new Date(checkedAt).toISOString(),
  };
  const at = (time: number | null) => (time === null ? null : new Date(time).toISOString());
  if (!well) return { ...common, state: 'unhealthy', by: 'active', since: at(since), detail };
  if (rest !== null)
    return { ...common, state: 'unhealthy', by: 'passive', since: at(rest.since), detail: rest.detail };
  const unknown = watched.health.active !== undefined && since === null;
  return { ...common, state: unknown ? 'unknown' : 'healthy', by: null, since: at(since), detail: null };
}
