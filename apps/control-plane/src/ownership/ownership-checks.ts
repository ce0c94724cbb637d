import {
  isAppError,
  type OwnershipRecord,
  ownershipLanes,
  recordKey,
  type StoredRecord,
  waitingClaimPrefix,
} from '@lockstep/contract';
import type { Change, ConfigStore, Lease } from '@lockstep/store';
import type { Logger } from 'pino';
import { routesNaming } from '../certificates/tenants-of-host.ts';
import type { ChangeHub } from '../changes/change-hub.ts';
import { commitUnlessChanged } from '../changes/writes.ts';
import { createDueWork } from '../due-work/due-work.ts';
import { registeredDomain } from '../names/registered-domain.ts';
import type { SettingsSource } from '../settings/settings-source.ts';
import { iso } from '../time/iso.ts';
import { laneOf, putOwnership } from './put-ownership.ts';
import type { Judge } from './verdicts.ts';

/** Longer than a look takes, with the reads and the commit around it. */
const leaseMs = 45_000;
/** How long this sleeps at the most: hints may be lost. */
const idleMs = 5_000;
/**
 * Looks at once that nobody waited for before, others, and those that took long the last time: none of a kind waits for another. Of each a
 * tenant has no more than it leaves to others, so that one with very many names whose DNS is silent holds up nobody else's.
 */
const lanes = {
  first: { slots: 32, number: ownershipLanes.first, shared: true },
  again: { slots: 16, number: ownershipLanes.again, shared: true },
  slow: { slots: 16, number: ownershipLanes.slow, shared: true },
};
/** What takes longer is slow. */
const slowMs = 2_000;
/** In a row, where others change what was judged by meanwhile. */
const mostTries = 3;
const firstWaitMs = 10_000;
const longestWaitMs = 3_600_000;

/** What to do with a host that was judged to be a tenant's. */
export interface Taking {
  ownership: StoredRecord<'ownership'>;
  /** Null: it is served without a proof, so that none is kept. */
  proven: OwnershipRecord['proven'];
  requirements: OwnershipRecord['requirements'];
  /** Whose routes may lose the host by it; null: none does, whoever has it too. */
  losers: readonly (string | null)[] | null;
  lease: Lease;
}

/** `changed`: it came otherwise meanwhile, and has to be judged anew. `twice`: another route of the tenant serves the same. `too_many`: more routes name it than change in one commit. */
export type TakeHost = (taking: Taking) => Promise<'taken' | 'changed' | 'twice' | 'too_many'>;

export interface OwnershipChecksOptions {
  store: ConfigStore;
  hub: ChangeHub;
  settings: Pick<SettingsSource, 'refresh'>;
  judge: Judge;
  take: TakeHost;
  log: Logger;
  now: () => number;
}

/** Looks again at hosts that wait for a proof of whose they are, and hands over those that are proven. Any number may run over one store. */
export function createOwnershipChecks(options: OwnershipChecksOptions): { close(): Promise<void> } {
  const { store, hub, settings, judge, take, log, now } = options;
  const work = createDueWork({
    store,
    kind: 'ownership',
    lanes,
    groupOf: ({ tenant, host }) => tenant ?? registeredDomain(host),
    run: (_lane, { id }, signal) => run(id, signal),
    idleMs,
    elsewhereMs: leaseMs / 9,
    log,
    now,
  });

  /** False when another control plane has it. */
  async function run(id: string, signal: AbortSignal): Promise<boolean> {
    const lease = await store.acquireLease(recordKey('ownership', id), leaseMs);
    if (lease === null) return false;
    try {
      await settings.refresh();
      for (let tries = 1; tries <= mostTries; tries += 1) if (await attempt(id, lease, signal)) return true;
      return false;
    } catch (error) {
      if (!isAppError(error, 'lease_lost')) throw error; // another control plane took over
    } finally {
      await store
        .releaseLease(lease)
        .catch((error: unknown) => log.debug({ err: error }, 'could not release a lease'));
    }
    return true;
  }

  /** False where it has to be judged anew. */
  async function attempt(id: string, lease: Lease, signal: AbortSignal): Promise<boolean> {
    const record = await store.get('ownership', id);
    const dueAt = record?.value.dueAt ?? null;
    if (record === null || dueAt === null || Date.parse(dueAt) > now()) return true;
    if (await isWaitedFor(record.value)) return look(record, lease, signal);
    await forget(record, lease);
    return true;
  }

  async function isWaitedFor({ host, tenant }: OwnershipRecord): Promise<boolean> {
    return (await store.findClaims(waitingClaimPrefix(host, tenant), 1)).length > 0;
  }

  /** What no route needs any more goes, unless one came to name the host again. */
  async function forget(record: StoredRecord<'ownership'>, lease: Lease): Promise<void> {
    const { id, value } = record;
    const named = (await routesNaming(store, value.host)).some(
      (route) => (route.value.tenant ?? null) === value.tenant,
    );
    const keeps = value.proven !== null && named;
    await write(
      record,
      keeps ? putOwnership({ ...value, dueAt: null }) : { op: 'delete', kind: 'ownership', id },
      lease,
    );
  }

  async function look(
    record: StoredRecord<'ownership'>,
    lease: Lease,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { value } = record;
    const began = performance.now();
    const verdict = await judge(value);
    const slow = performance.now() - began > slowMs || undefined;
    if (signal.aborted) return true;
    let { detail, requirements } = value;
    if (verdict.may === 'take') {
      const { proven: by, losers } = verdict;
      const proven = by === null ? value.proven : { at: iso(now()), by };
      const taken = await take({
        ownership: record,
        proven,
        requirements: verdict.requirements,
        losers,
        lease,
      });
      if (taken === 'taken') log.info({ host: value.host, tenant: value.tenant, by }, 'a host is proven');
      if (taken === 'taken' || taken === 'changed') return taken === 'taken';
      detail =
        taken === 'twice'
          ? `another route of the same tenant serves ${value.host} with the same path`
          : `more routes name ${value.host} than can change at once: ask whoever runs this service to delete some`;
    } else ({ detail, requirements } = verdict);
    const checks = value.checks + 1;
    const dueAt = iso(now() + waitMsAfter(checks));
    await write(record, putOwnership({ ...value, checks, slow, detail, requirements, dueAt }), lease);
    return true;
  }

  async function write(
    { id, revision }: StoredRecord<'ownership'>,
    change: Change,
    lease: Lease,
  ): Promise<void> {
    await commitUnlessChanged(store, {
      by: { kind: 'ownership' },
      cause: revision,
      lease,
      checks: [{ kind: 'ownership', id, revision }],
      changes: [change],
    });
  }

  const unwatch = hub.watch((entry) => {
    if (entry === null) return work.wake();
    for (const change of entry.changes) {
      if (change.kind !== 'ownership' || change.op !== 'put') continue;
      const { kind, id, value } = change;
      const lane = laneOf(value);
      // Where there are very many before it, it would not be found among what is due.
      if (lane === 'first' && value.dueAt !== null && Date.parse(value.dueAt) <= now())
        work.take(lane, { kind, id, value, revision: entry.position.number });
      work.hear(id, lane);
    }
  });

  return {
    async close() {
      unwatch();
      await work.close();
    },
  };
}

/** Growing by a half, at most an hour: people set a record within minutes, or not for days. */
function waitMsAfter(checks: number): number {
  const base = Math.min(longestWaitMs, firstWaitMs * 1.5 ** Math.min(checks - 1, 30));
  return Math.round(base * (0.9 + Math.random() * 0.2));
}
