import { type OrderRecord, recordKey } from '@lockstep/contract';
import type { Change, Check, ConfigStore } from '@lockstep/store';
import { everyPage } from '../changes/every-page.ts';
import { commit, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import { putOrder } from '../orders/order-record.ts';
import { iso } from '../time/iso.ts';

const pageSize = 100;
/** Between the dates of two hosts: as many as a CA that has just come back is asked for, a second. */
const spacingMs = 100;

export interface RetryFailedOptions {
  store: ConfigStore;
  now?: () => number;
}

/**
 * Ends the back-off of every host that an issuer failed for a reason of its own, once that has been repaired; adds how many there are to `told`, before
 * the commit of each page of them. They
 * stay in their queue, one after another, so that thousands of them delay nobody else. What a CA's limits or its Retry-After forbid stays
 * forbidden; and hosts whose own DNS is at fault are left alone, for them nothing has changed.
 */
export type RetryFailed = (origin: WriteOrigin, issuer: string, told: Woken) => Promise<void>;

export interface Woken {
  certificates: number;
}

export function createRetryFailed({ store, now = Date.now }: RetryFailedOptions): RetryFailed {
  return async (origin, issuer, told) => {
    const before = told.certificates;
    let found = 0;

    async function wake(ids: string[]): Promise<number> {
      const held = (await store.getMany('order', ids)).flatMap((record) => {
        const woken = record === null ? null : wokenOrder(record.value, issuer);
        return record === null || woken === null ? [] : [{ ...record, value: woken }];
      });
      if (held.length === 0) return 0;
      const checks: Check[] = held.map(({ id, revision }) => ({ kind: 'order', id, revision }));
      const changes: Change[] = held.map(({ id, value }, index) =>
        putOrder(id, { ...value, dueAt: earlier(value.dueAt, now() + (found + index) * spacingMs) }),
      );
      told.certificates = before + found + held.length;
      await commit(store, { ...origin, checks, changes });
      return held.length;
    }

    for await (const page of everyPage(store, 'order', { limit: pageSize })) {
      const ids = page.flatMap(({ id, value }) => (wokenOrder(value, issuer) === null ? [] : [id]));
      if (ids.length > 0) found += await writeInTurn(store, keysOf(ids), () => wake(ids));
    }
    told.certificates = before + found;
  };
}

function keysOf(ids: string[]): string[] {
  return ids.map((id) => recordKey('order', id));
}

/** The order without what the issuer holds against it; null where that is nothing. */
function wokenOrder(order: OrderRecord, issuer: string): OrderRecord | null {
  const { lastError, setbacks, waitingForDns, unusedSince, dueAt } = order;
  if (unusedSince !== null || dueAt === null || (waitingForDns !== null && order.step === 'idle'))
    return null;
  const { [issuer]: setback, ...others } = setbacks;
  // Without a word of the CA it was its own side that failed: the DNS provider of dns-01, say.
  const ownSide = lastError?.issuer === issuer && lastError.type === null;
  return setback === undefined && !ownSide ? null : { ...order, setbacks: others };
}

function earlier(dueAt: string | null, at: number): string {
  return iso(dueAt === null ? at : Math.min(at, Date.parse(dueAt)));
}
