import type { OrderRecord, StoredRecord } from '@lockstep/contract';
import type { Change, Check, ConfigStore } from '@lockstep/store';
import type { EnterOptions, OrderQueue } from '../orders/order-queue.ts';
import {
  forgetFailures,
  isHeldBack,
  isPlaced,
  isWaitedFor,
  newOrder,
  putOrder,
  upkeepDate,
} from '../orders/order-record.ts';
import { iso } from '../time/iso.ts';

/** How long the certificate of a host that no route names any more is kept and served. */
const unusedGraceMs = 3_600_000;

export interface RouteOrdersOptions {
  store: ConfigStore;
  queue: Pick<OrderQueue, 'enter'>;
  now: () => number;
}

/** What becomes of the orders of a route's hosts when the route changes. */
export function createRouteOrders({ store, queue, now }: RouteOrdersOptions) {
  /**
   * Orders for hosts that come (or whose back-off a changed route ends), and the grace time for those that go. A host that comes or
   * goes always changes its order's record, be it only the revision: who names a host is read before the commit, so of two commits
   * that change it at the same moment the second has to fail and look again.
   */
  async function changesFor(
    id: string,
    before: string[],
    after: string[],
    entering: EnterOptions,
  ): Promise<{ checks: Check[]; changes: Change[] }> {
    const dropped = before.filter((host) => !after.includes(host));
    const hosts = [...after, ...dropped];
    const orders = await store.getMany('order', hosts);
    const checks: Check[] = [];
    const changes: Change[] = [];
    for (const [index, host] of hosts.entries()) {
      const order = orders[index] ?? null;
      const changed = dropped.includes(host)
        ? await orderOfDropped(id, host, order)
        : await orderOfNamed(host, order, entering);
      const moved = dropped.includes(host) || !before.includes(host);
      const value = changed ?? (moved ? (order?.value ?? null) : null);
      if (value === null) continue;
      checks.push({ kind: 'order', id: host, revision: order?.revision ?? null });
      changes.push(putOrder(host, value));
    }
    return { checks, changes };
  }

  async function orderOfNamed(
    host: string,
    order: StoredRecord<'order'> | null,
    entering: EnterOptions,
  ): Promise<OrderRecord | null> {
    if (order === null) return queue.enter(newOrder(host, now()), entering);
    const { value } = order;
    if (value.unusedSince !== null) {
      const due = upkeepDate(value) ?? iso(now());
      return queue.enter({ ...forgetFailures(value, now()), unusedSince: null, dueAt: due }, entering);
    }
    const held = value.lastError !== null || value.waitingForDns !== null;
    if (held || (entering.waitMs != null && isHeldBack(value)))
      return queue.enter(forgetFailures(value, now()), entering);
    // Now somebody waits for it.
    if (entering.waitMs != null && isPlaced(value) && !isWaitedFor(value, now()))
      return queue.enter(value, entering);
    return null;
  }

  async function orderOfDropped(
    id: string,
    host: string,
    order: StoredRecord<'order'> | null,
  ): Promise<OrderRecord | null> {
    if (order === null) return null;
    const holders = await store.findClaims(`${host} `, 100);
    if (holders.some((holder) => holder.id !== id)) return null;
    const dueAt = iso(now() + unusedGraceMs);
    return { ...order.value, unusedSince: iso(now()), dueAt };
  }

  return { changesFor };
}
