import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Kind, StoredRecord } from '@lockstep/contract';
import { recordKey } from '@lockstep/contract';
import type { Change, ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import { type KeptLease, keepLease } from '../changes/kept-lease.ts';
import { commit } from '../changes/writes.ts';

const kind = 'keyring' satisfies Kind;
const leaseMs = 15_000;
const retryMs = 2_000;
const longestStopMs = 500;

/** Which keys the control planes have that run: each leaves a record, and holds its lease for as long. */
export interface Keyrings {
  /** The control planes that run without this key, in words. Throws `store_unavailable`. */
  lacking(keyId: string): Promise<string[]>;
  close(): Promise<void>;
}

export interface KeyringsOptions {
  store: ConfigStore;
  /** The ids of this control plane's. */
  keys: readonly string[];
  log: Logger;
}

export async function createKeyrings({ store, keys, log }: KeyringsOptions): Promise<Keyrings> {
  const id = randomUUID();
  const holder = `${hostname()} (process ${process.pid})`;
  const stop = new AbortController();

  /** Null where it could not be said; it is then said later. */
  async function join(): Promise<KeptLease | null> {
    const granted = await store.acquireLease(recordKey(kind, id), leaseMs);
    if (granted === null) return null; // somebody looks whether this one runs
    const lease = keepLease(store, granted, stop.signal, leaseMs);
    try {
      await commit(store, {
        by: { kind: 'system' },
        changes: [{ op: 'put', kind, id, value: { holder, keys: [...keys] } }, ...(await leftBehind())],
      });
      return lease;
    } catch (error) {
      await lease.release();
      throw error;
    }
  }

  async function tryToJoin(): Promise<KeptLease | null> {
    return join().catch((error: unknown) => {
      log.warn({ err: error }, 'cannot say which keys this control plane has; trying on');
      return null;
    });
  }

  /** A process that stood still for longer than its lease may be taken for ended, and says again that it is not. */
  async function stay(first: KeptLease | null): Promise<void> {
    for (let lease = first; !stop.signal.aborted; ) {
      if (lease === null) await delay(retryMs, undefined, { signal: stop.signal }).catch(() => {});
      else {
        if (!lease.signal.aborted) await once(lease.signal, 'abort');
        await lease.release();
      }
      if (!stop.signal.aborted) lease = await tryToJoin();
      if (stop.signal.aborted) await lease?.release();
    }
  }

  async function others(): Promise<StoredRecord<'keyring'>[]> {
    const found: StoredRecord<'keyring'>[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await store.list(kind, { limit: 100, cursor });
      found.push(...page.items.filter((one) => one.id !== id));
      if (page.next === null) return found;
      cursor = page.next;
    }
  }

  /** Whoever can have a control plane's lease knows that it has ended. */
  async function hasEnded(one: StoredRecord<'keyring'>): Promise<boolean> {
    const lease = await store.acquireLease(recordKey(kind, one.id), retryMs);
    if (lease !== null) await store.releaseLease(lease);
    return lease !== null;
  }

  async function leftBehind(): Promise<Change[]> {
    const changes: Change[] = [];
    for (const one of await others()) {
      if (await hasEnded(one)) changes.push({ op: 'delete', kind, id: one.id });
    }
    return changes;
  }

  const staying = stay(await tryToJoin());

  return {
    async lacking(keyId) {
      const names: string[] = [];
      for (const one of await others()) {
        const { holder, keys } = one.value;
        if (!keys.includes(keyId) && !(await hasEnded(one))) names.push(`the control plane on ${holder}`);
      }
      return names;
    },
    async close() {
      stop.abort();
      // The lease runs out by itself: a store that is away does not hold up a stop.
      await Promise.race([staying, delay(longestStopMs, undefined, { ref: false })]);
    },
  };
}
