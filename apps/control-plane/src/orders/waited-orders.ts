import type { LoggedChange } from '@lockstep/contract';
import type { ChangeHub } from '../changes/change-hub.ts';
import { isWaitedFor } from './order-record.ts';

/** An order that stands still for longer waits for something else than the processor. */
const stepMs = 1_000;
/** What a certificate takes to the edges when they are busy. */
const deployMs = 150;

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
  /** Until when, by id. */
  const waited = new Map<string, number>();

  const unwatch = hub.watch((entry) => {
    if (entry === null) waited.clear();
    else entry.changes.forEach(hear);
  });

  function hear(change: LoggedChange): void {
    if (change.kind !== 'order') return;
    const was = waited.delete(change.id);
    if (change.op === 'delete') return;
    const { id, value } = change;
    if (value.lastError !== null || value.waitingForDns !== null) return;
    if (value.renewAt === null && isWaitedFor(value, now())) waited.set(id, now() + stepMs);
    else if (was && value.renewAt !== null) waited.set(id, now() + deployMs);
  }

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
