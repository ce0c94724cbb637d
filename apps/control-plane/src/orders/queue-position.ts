import { type OrderRecord, orderLanes, type RouteStatus } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { iso } from '../time/iso.ts';
import type { IssuingPace } from './issuing-pace.ts';
import { isPlaced, laneOf } from './order-record.ts';

export type QueuePosition = NonNullable<RouteStatus['queue']>;

export interface QueuePositionOptions {
  store: Pick<ConfigStore, 'countDue'>;
  pace: Pick<IssuingPace, 'perSecond'>;
  now: () => number;
}

/** Where a first attempt stands that has not begun: in the queue, or at the date that a CA's limits gave it. Null for all others. */
export async function queuePositionOf(
  order: OrderRecord,
  { store, pace, now }: QueuePositionOptions,
): Promise<QueuePosition | null> {
  if (order.step !== 'idle' || order.dueAt === null) return null;
  if (isPlaced(order)) {
    const lane = laneOf(order);
    const inLane = await store.countDue('order', (order.place ?? 0) - 1, orderLanes[lane]);
    const first =
      lane === 'waited' ? 0 : await store.countDue('order', Number.MAX_SAFE_INTEGER, orderLanes.waited);
    const position = first + inLane + 1;
    const perSecond = pace.perSecond();
    return {
      position,
      estimatedAt: perSecond === null ? null : iso(now() + (position * 1_000) / perSecond),
    };
  }
  const dueAt = Date.parse(order.dueAt);
  if (laneOf(order) !== 'pressing' || order.renewal !== null || dueAt <= now()) return null;
  const before = await store.countDue('order', dueAt - 1, orderLanes.pressing);
  return { position: before + 1, estimatedAt: order.dueAt };
}
