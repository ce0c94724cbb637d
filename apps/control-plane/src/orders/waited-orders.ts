import { recordKey } from '@lockstep/contract';
import type { ChangeHub } from '../changes/change-hub.ts';
import { isWaitedFor } from './order-record.ts';

/** An order that stands still for longer waits for something else than the processor. */
const stepMs = 1_000;
/** What a certificate takes to the edges when they are busy. */
const deployMs = 150;
const orderPrefix = recordKey('order', '');

/** Whether orders that somebody waits for are under way at whichever control plane, by what is heard of their changes. */
export interface WaitedOrders {
  any(): boolean;
  close(): void;
}

export function createWaitedOrders({
  hub,
  now,
}: {
  hub: Pick<ChangeHub, 'watch'>;
  now: () => number;
}): WaitedOrders {
  /** Until when, by key. */
  const waited = new Map<string, number>();

  const unwatch = hub.watch((key, change) => {
    if (key === null) waited.clear();
    if (key === null || !key.startsWith(orderPrefix)) return;
    const was = waited.delete(key);
    if (change?.op !== 'put' || change.kind !== 'order') return;
    const { value } = change;
    if (value.lastError !== null || value.waitingForDns !== null) return;
    if (value.renewAt === null && isWaitedFor(value, now())) waited.set(key, now() + stepMs);
    else if (was && value.renewAt !== null) waited.set(key, now() + deployMs);
  });

  return {
    any() {
      for (const [key, until] of waited) {
        if (until > now()) return true;
        waited.delete(key);
      }
      return false;
    },
    close: unwatch,
  };
}
