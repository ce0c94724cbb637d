import { isDeepStrictEqual } from 'node:util';
import { idleOrder, nothingUnderWay, type OrderLane, type OrderRecord, orderLanes } from '@lockstep/contract';
import type { Change } from '@lockstep/store';
import { iso } from '../iso.ts';

/** An order for a host that has none, due at once. */
export function newOrder(host: string, now: number): OrderRecord {
  const at = iso(now);
  return idleOrder(host, at, at);
}

/** The order with whatever was under way given up. */
export function resetOrder(order: OrderRecord, changes: Partial<OrderRecord>): OrderRecord {
  return { ...order, ...nothingUnderWay, ...changes };
}

/** The order due at once, as if it had never failed; what is under way goes on. */
export function forgetFailures(order: OrderRecord, now: number): OrderRecord {
  return {
    ...order,
    failures: 0,
    unproven: 0,
    setbacks: {},
    lastError: null,
    waitingForDns: null,
    dueAt: iso(now),
  };
}

/** An order of an earlier version has fewer fields. */
export function completeOrder(order: OrderRecord): OrderRecord {
  return { ...idleOrder(order.host, order.createdAt, order.dueAt), ...order };
}

/**
 * The queue an order waits in. A first attempt, and a renewal that cannot wait, come before all else and stay there to their end;
 * so no number of hosts that fail delays one that does not. Where clients are about to be without a certificate, a renewal that failed
 * does not wait among those that have none to lose.
 */
export function laneOf(order: OrderRecord): OrderLane {
  if (order.waitingForDns !== null && order.step === 'idle') return 'dns';
  const pressing = order.renewal === 'revoked' || order.renewal === 'expiring';
  if (order.failures > 0) return pressing ? 'renewal' : 'retry';
  if (pressing || order.renewal === 'asked') return 'first';
  if (order.renewal === 'due') return 'renewal';
  return order.renewAt === null && order.unusedSince === null ? 'first' : 'upkeep';
}

export function putOrder(id: string, value: OrderRecord): Change {
  return {
    op: 'put',
    kind: 'order',
    id,
    value,
    dueAt: value.dueAt === null ? null : Date.parse(value.dueAt),
    lane: orderLanes[laneOf(value)],
  };
}

const underWay = Object.keys(nothingUnderWay) as (keyof typeof nothingUnderWay)[];

/** Whether the order still is where a step took it up: what was done meanwhile asks for nothing that the step did not know. */
export function standsAs(latest: OrderRecord, taken: OrderRecord): boolean {
  return [...underWay, 'unusedSince', 'renewal'].every((field) =>
    isSame(latest, taken, field as keyof OrderRecord),
  );
}

/** The order as it is by now, with what a step changed. */
export function carriedOver(taken: OrderRecord, stepped: OrderRecord, latest: OrderRecord): OrderRecord {
  const changed = Object.entries(stepped).filter(
    ([field]) => !isSame(stepped, taken, field as keyof OrderRecord),
  );
  return { ...latest, ...Object.fromEntries(changed) };
}

function isSame(one: OrderRecord, other: OrderRecord, field: keyof OrderRecord): boolean {
  return isDeepStrictEqual(one[field], other[field]);
}
