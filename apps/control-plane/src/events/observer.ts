import { setTimeout as delay } from 'node:timers/promises';
import {
  type AttemptsRecord,
  type Boundary,
  createBoundary,
  type LogEntry,
  type StoredRecord,
  waitingClaimPrefix,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ChangeHub } from '../changes/change-hub.ts';
import { everyPage } from '../changes/every-page.ts';
import { isInterruption, type KeptLease, keepLease } from '../changes/kept-lease.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { FleetWatch } from '../fleet/fleet-status.ts';
import type { KnownIssuers } from '../issuers/known-issuers.ts';
import { nodeTopics, observeGone, observeNodes } from './observe-nodes.ts';
import { observeRoutes } from './observe-routes.ts';
import {
  isWatchedLimit,
  type ObservedIssuer,
  observeExpiring,
  observeIssuer,
  observeLimits,
} from './observe-upkeep.ts';
import { createTeller } from './teller.ts';

const leaseName = 'events';
const leaseMs = 6_000;
/** Before another try to become the one who observes. */
const tryAgainMs = 1_000;
/** Between two looks, however much changes: what changes meanwhile is one look. */
const pauseMs = 50;
/** Between a commit that tells and the next: of many that come one after another, several are told in one. */
const tellEveryMs = 250;
/** Between two looks while nothing changes: what lasts, or is late, is no change. */
const idleMs = 1_000;
const upkeepMs = 60_000;
const routesAtOnce = 200;
const bucketsAtOnce = 1_000;
/** Once more, where a record changed between the look and the telling. */
const mostTries = 5;

export interface ObserverOptions {
  store: ConfigStore;
  hub: ChangeHub;
  fleet: Fleet;
  fleetWatch: Pick<FleetWatch, 'status'>;
  known: KnownIssuers;
  now: () => number;
  log: Logger;
  boundary?: Boundary;
}

/**
 * Tells what is observed and not committed: what became of routes, of nodes, of issuers. One control plane does, under a lease; whoever
 * comes to hold it compares all there is with what was told last, so that nothing is lost with the one before, and nothing told twice.
 */
export function createObserver(options: ObserverOptions): { close(): Promise<void> } {
  const { store, log } = options;
  const boundary = options.boundary ?? createBoundary(log);
  const stop = new AbortController();

  async function run(): Promise<void> {
    while (!stop.signal.aborted) {
      const granted = await store.acquireLease(leaseName, leaseMs).catch(() => null);
      if (granted !== null) {
        const lease = keepLease(store, granted, stop.signal, leaseMs);
        try {
          await observe(options, lease);
        } catch (error) {
          if (!lease.signal.aborted && !isInterruption(error)) boundary.note('events', error);
        } finally {
          await lease.release();
        }
      }
      await delay(tryAgainMs, undefined, { signal: stop.signal }).catch(() => {});
    }
  }
  const ended = run();

  return {
    async close() {
      stop.abort();
      await ended;
    },
  };
}

/** Ends with the lease. */
async function observe(
  { store, hub, fleet, fleetWatch, known, now }: ObserverOptions,
  lease: KeptLease,
): Promise<void> {
  let toldAt = Number.NEGATIVE_INFINITY;
  const tell = createTeller(store, () => {
    toldAt = performance.now();
  });
  /** Routes to look at, and how often they were. */
  const dirty = new Map<string, number>();
  const hosts = new Set<string>();
  /** The claims of whoever waits for a host to be proven theirs. */
  const waiting = new Set<string>();
  const buckets = new Set<string>();
  const issuers = new Map<string, ObservedIssuer>();
  const issuersTold = new Map<string, string | null>();
  const deploying = new Set<string>();
  let everything = true;
  let nodesKnown = new Set<string>();
  let nodesTold = new Map<string, string>();
  let upkeepAt = 0;
  let nudge = () => {};

  function hear(entry: LogEntry | null): void {
    if (entry === null) everything = true;
    for (const change of entry?.changes ?? []) {
      const { kind, id } = change;
      if (kind === 'route') dirty.set(id, 0);
      else if (kind === 'bucket' && isWatchedLimit(id)) buckets.add(id);
      else if (change.op === 'put' && change.kind === 'certificate')
        for (const name of change.value.names ?? [change.value.host]) hosts.add(name);
      else if (change.op === 'put' && change.kind === 'ownership') {
        const { host, tenant, checks, proven } = change.value;
        if (proven === null && checks > 0) waiting.add(waitingClaimPrefix(host, tenant));
      } else if (change.op === 'put' && change.kind === 'order') {
        // Of all else that becomes of an order, a route's state is none that is told.
        const { host, lastError, waitingForDns } = change.value;
        if (lastError !== null || waitingForDns !== null) hosts.add(host);
      } else if (change.op === 'put' && change.kind === 'attempts') hearAttempts(change.value);
    }
    nudge();
  }

  function hearAttempts({ attempts }: AttemptsRecord): void {
    for (const attempt of attempts) {
      const seen = observeIssuer(attempt);
      const known = issuers.get(attempt.issuer);
      if (seen !== null && (known === undefined || known.at < seen.at)) issuers.set(attempt.issuer, seen);
    }
  }

  async function findNamed(): Promise<void> {
    const prefixes = [...[...hosts].map((host) => `${host} `), ...waiting];
    hosts.clear();
    waiting.clear();
    for (const prefix of prefixes)
      for (const { kind, id } of await store.findClaims(prefix, 1_000))
        if (kind === 'route' && !dirty.has(id)) dirty.set(id, 0);
  }

  async function lookAtRoutes(): Promise<void> {
    while (dirty.size > 0 && !lease.signal.aborted) {
      const batch = [...dirty].slice(0, routesAtOnce);
      for (const [id] of batch) dirty.delete(id);
      const ids = batch.map(([id]) => id);
      for (const id of ids) deploying.delete(id);
      const found = await observeRoutes(store, fleet, ids);
      for (const id of found.deploying) deploying.add(id);
      for (const { key } of await tell(found.observations, lease.current())) {
        const id = key.slice('route/'.length);
        const tries = batch.find(([one]) => one === id)?.[1] ?? 0;
        if (tries < mostTries && !dirty.has(id)) dirty.set(id, tries + 1);
      }
      await delay(0);
    }
  }

  async function lookAtNodes(): Promise<void> {
    const nodes = fleet.nodes();
    const present = new Set(nodes.map(({ report }) => report.node));
    const gone = [...nodesKnown].filter((node) => !present.has(node)).flatMap(observeGone);
    const seen = [...observeNodes(nodes, fleetWatch.status(), now()), ...gone];
    // What was told by this very process needs no reading.
    const news = seen.filter(({ key, state, mark = '' }) => nodesTold.get(key) !== `${state} ${mark}`);
    const passed = new Set((await tell(news, lease.current())).map(({ key }) => key));
    for (const { key, state, mark = '' } of news)
      if (!passed.has(key)) nodesTold.set(key, `${state} ${mark}`);
    nodesTold = new Map([...nodesTold].filter(([, told]) => !told.startsWith('null ')));
    nodesKnown = present;
  }

  async function lookAtUpkeep(): Promise<void> {
    if (now() >= upkeepAt) {
      upkeepAt = now() + upkeepMs;
      const expiring = await toldOf('certificate-expiring/');
      await tell(await observeExpiring(store, expiring, now()), lease.current());
      for (const key of await toldOf('limit/')) buckets.add(key.slice('limit/'.length));
    }
    while (buckets.size > 0 && !lease.signal.aborted) {
      const ids = [...buckets].slice(0, bucketsAtOnce);
      for (const id of ids) buckets.delete(id);
      await tell(await observeLimits(store, known, ids, now()), lease.current());
    }
    const news = [...issuers.values()].filter(({ key, state }) => issuersTold.get(key) !== state);
    await tell(news, lease.current());
    for (const { key, state } of news) issuersTold.set(key, state);
  }

  async function toldOf(prefix: string): Promise<string[]> {
    const keys: string[] = [];
    for await (const page of everyPage(store, 'told', { from: prefix })) {
      const mine = page.filter(({ id }) => id.startsWith(prefix)).map(({ id }) => id);
      keys.push(...mine);
      if (mine.length < page.length) break;
    }
    return keys;
  }

  async function listAll<K extends 'route' | 'bucket' | 'attempts'>(
    kind: K,
    take: (record: StoredRecord<K>) => void,
  ): Promise<void> {
    for await (const page of everyPage(store, kind)) {
      for (const record of page) take(record);
      await delay(0);
      if (lease.signal.aborted) return;
    }
  }

  /** What whoever observed before may not have told: of all routes, of those that are gone, of all limits and issuers. */
  async function findEverything(): Promise<void> {
    everything = false;
    for (const topic of nodeTopics)
      for (const key of await toldOf(`${topic}/`)) nodesKnown.add(key.slice(topic.length + 1));
    for (const key of await toldOf('route/')) dirty.set(key.slice('route/'.length), 0);
    await listAll('route', ({ id }) => dirty.set(id, 0));
    await listAll('bucket', ({ id }) => {
      if (isWatchedLimit(id)) buckets.add(id);
    });
    await listAll('attempts', ({ value }) => hearAttempts(value));
  }

  const unwatchHub = hub.watch(hear);
  const unwatchFleet = fleet.watch(() => {
    for (const id of deploying) if (!dirty.has(id)) dirty.set(id, 0);
    nudge();
  });
  const onAbort = () => nudge();
  lease.signal.addEventListener('abort', onAbort);
  try {
    while (!lease.signal.aborted) {
      const nudged = new Promise<void>((resolve) => {
        nudge = resolve;
      });
      if (everything) await findEverything();
      await lookAtNodes();
      await findNamed();
      await lookAtRoutes();
      await lookAtUpkeep();
      await Promise.race([nudged, delay(idleMs, undefined, { signal: lease.signal }).catch(() => {})]);
      const restMs = Math.max(pauseMs, toldAt + tellEveryMs - performance.now());
      await delay(restMs, undefined, { signal: lease.signal }).catch(() => {});
    }
  } finally {
    unwatchHub();
    unwatchFleet();
    lease.signal.removeEventListener('abort', onAbort);
  }
}
