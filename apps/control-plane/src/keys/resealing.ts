import { setTimeout as delay } from 'node:timers/promises';
import {
  type Boundary,
  isAppError,
  type RotationRecord,
  recordKey,
  type SealedKind,
  type StoredRecord,
  sealedKinds,
} from '@lockstep/contract';
import type { Sealers } from '@lockstep/pki';
import type { Change } from '@lockstep/store';
import type { Logger } from 'pino';
import { type KeptLease, keepLease } from '../changes/kept-lease.ts';
import { commit } from '../changes/writes.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { NodeStanding } from '../fleet/serving.ts';
import type { FleetKeys } from './fleet-keys.ts';
import { olderKeysOf, putAsItIs } from './sealed-records.ts';

const lookIntervalMs = 1_000;
const leaseMs = 10_000;
const longestWaitMs = 10_000;
/** Far below what a commit may carry, with chains and roots as they are. */
const batchRecords = 25;

export interface ResealingOptions {
  keys: FleetKeys;
  fleet: Pick<Fleet, 'view'>;
  sealers: Sealers;
  log: Logger;
  boundary: Boundary;
}

type Rotation = StoredRecord<'rotation'>;
type Sealed = StoredRecord<SealedKind>;

/**
 * Seals all that is left with the current keys while a rotation is under way, one control plane at a time. Where it was is not written
 * down: what still names an older key shows it to whoever goes on.
 */
export function createResealing({ keys, fleet, sealers, log, boundary }: ResealingOptions): {
  close(): Promise<void>;
} {
  const { store } = keys;
  const stop = new AbortController();
  const warned = new Set<string>();
  let running: Promise<void> = Promise.resolve();
  let runs = false;

  async function run(): Promise<void> {
    const granted = await store.acquireLease('rotation', leaseMs);
    if (granted === null) return;
    const lease = keepLease(store, granted, stop.signal, leaseMs);
    try {
      log.info('seals anew what older keys have sealed');
      await keys.refresh();
      // Since the commit that began the rotation nothing is sealed with an older key, so what is done stays done.
      for (let rotation = keys.rotation(); rotation !== null; ) {
        rotation = await count(rotation, lease);
        if (rotation !== null) rotation = await pass(rotation, lease);
      }
    } catch (error) {
      if (!lease.signal.aborted && !isAppError(error, 'lease_lost')) throw error;
    } finally {
      await lease.release();
    }
  }

  /** Says how many are left; null when none is, which ends the rotation. */
  async function count(rotation: Rotation, lease: KeptLease): Promise<Rotation | null> {
    const { older } = rotation.value;
    const left = Object.fromEntries(
      older.flatMap(({ control, edge }) => [control, edge]).map((id) => [id, 0]),
    );
    for await (const records of olderRecords(lease)) {
      for (const keyId of records.flatMap((record) => olderKeysOf(sealers, record).opens)) left[keyId]! += 1;
    }
    if (Object.values(left).some((one) => one > 0)) return write(rotation, left, [], lease);
    await followed(rotation.revision);
    await write(rotation, null, [], lease);
    log.info(
      { older },
      'nothing is sealed with an older key any more: it can be taken out of the configuration',
    );
    return null;
  }

  /** The log is given up with the rotation. Whoever is just a moment behind need not take a snapshot for that. */
  async function followed(revision: number): Promise<void> {
    const isBehind = ({ connected, applied }: NodeStanding) => connected && applied < revision;
    for (let waitedMs = 0; waitedMs < longestWaitMs; waitedMs += lookIntervalMs) {
      const { nodes, drained } = fleet.view();
      if (![...nodes, ...drained].some(isBehind)) return;
      await delay(lookIntervalMs, undefined, { signal: stop.signal });
    }
  }

  async function pass(rotation: Rotation, lease: KeptLease): Promise<Rotation | null> {
    let latest: Rotation | null = rotation;
    for await (const records of olderRecords(lease)) {
      if (latest !== null) latest = await sealAnew(latest, records, lease);
    }
    return latest;
  }

  /** The store of the fleet's keys seals anew whatever is written to it. A record that somebody else writes meanwhile is left to the next pass. */
  async function sealAnew(rotation: Rotation, records: Sealed[], lease: KeptLease): Promise<Rotation> {
    const left = { ...rotation.value.left };
    for (const keyId of records.flatMap((record) => olderKeysOf(sealers, record).opens)) left[keyId]! -= 1;
    try {
      return await write(rotation, left, records, lease);
    } catch (error) {
      const { kind, id } = isAppError(error, 'revision_conflict') ? error.facts : {};
      const others = records.filter((record) => record.kind !== kind || record.id !== id);
      if (others.length === records.length) throw error;
      return others.length === 0 ? rotation : sealAnew(rotation, others, lease);
    }
  }

  /** Writes records once more, and how many are left beside them; `left` null: nothing is, and the rotation ends. */
  async function write(
    rotation: Rotation,
    left: RotationRecord['left'],
    records: Sealed[],
    lease: KeptLease,
  ): Promise<Rotation> {
    const { kind, id, value } = rotation;
    const next = { ...value, left };
    const change: Change = left === null ? { op: 'delete', kind, id } : { op: 'put', kind, id, value: next };
    const { number } = await commit(store, {
      by: { kind: 'system' },
      lease: lease.current(),
      checks: [rotation, ...records].map((one) => ({ kind: one.kind, id: one.id, revision: one.revision })),
      changes: [change, ...records.map(putAsItIs)],
      // Its entries hold values as they were: with the old keys, they would open.
      ...(left === null && { forgetsLog: true }),
    });
    return { kind, id, revision: number, value: next };
  }

  /** Records with something in them that is sealed with an older key. */
  async function* olderRecords(lease: KeptLease): AsyncGenerator<Sealed[]> {
    for (const kind of sealedKinds) {
      for (let cursor: string | undefined; ; ) {
        lease.signal.throwIfAborted();
        const page = await store.list(kind, { limit: batchRecords, cursor });
        const older = page.items.filter(isOlder);
        if (older.length > 0) yield older;
        if (page.next === null) break;
        cursor = page.next;
      }
    }
  }

  function isOlder(record: Sealed): boolean {
    const { opens, altered } = olderKeysOf(sealers, record);
    const key = recordKey(record.kind, record.id);
    if (altered.length > 0 && !warned.has(key)) {
      warned.add(key);
      log.warn(
        { record: key },
        'a secret was altered and opens with no key: it stays as it is, and is of no use',
      );
    }
    return opens.length > 0;
  }

  const timer = setInterval(() => {
    if (runs || keys.rotation() === null || keys.fault() !== null) return;
    runs = true;
    running = run()
      .catch((error: unknown) => {
        const passing = isAppError(error, 'store_unavailable') || isAppError(error, 'revision_conflict');
        if (!passing) boundary.note('rotation', error);
      })
      .finally(() => {
        runs = false;
      });
  }, lookIntervalMs);

  return {
    async close() {
      clearInterval(timer);
      stop.abort();
      await running;
    },
  };
}
