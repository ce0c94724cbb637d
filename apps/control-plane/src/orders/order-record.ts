import { isDeepStrictEqual } from 'node:util';
import {
  idleOrder,
  nothingUnderWay,
  type OrderLane,
  type OrderRecord,
  orderLanes,
  placedLanes,
} from '@lockstep/contract';
import type { Change } from '@lockstep/store';
import { iso } from '../time/iso.ts';

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

/** When somebody has to look after the certificate of an order that has nothing else to do; null where it has. */
export function upkeepDate(order: OrderRecord): string | null {
  const { step, renewal, renewAt, ari, persist, lastError } = order;
  if (step !== 'idle' || renewal !== null || renewAt === null || lastError !== null) return null;
  const [first = renewAt] = [renewAt, ari?.checkAt ?? renewAt, persist?.lookAt ?? renewAt].sort();
  return first;
}

/**
 * The queue an order waits in. First attempts wait for their turn, and come before all else once it has come, as renewals that cannot wait
 * do; so no number of hosts that fail delays one that does not. Where clients are about to be without a certificate, a renewal that failed
 * does not wait among those that have none to lose.
 */
export function laneOf(order: OrderRecord): OrderLane {
  if (order.waitingForDns !== null && order.step === 'idle') return 'dns';
  const pressing = order.renewal === 'revoked' || order.renewal === 'expiring';
  if (order.failures > 0) return pressing ? 'renewal' : 'retry';
  if (pressing || order.renewal === 'asked') return 'pressing';
  if (order.renewal === 'due') return 'renewal';
  if (order.renewAt !== null || order.unusedSince !== null) return 'upkeep';
  if (order.place === null) return 'pressing';
  return order.waitedUntil === null ? 'first' : 'waited';
}

/** Whether a first attempt or a renewal that cannot wait goes on: those keep whoever works on them to their end. */
export function goesOn(before: OrderRecord, after: OrderRecord): boolean {
  const [from, to] = [laneOf(before), laneOf(after)];
  return from === to || (to === 'pressing' && placedLanes.includes(from));
}

/** Whether a part of the CA's limits is kept from it: nobody waits for it, and no client is about to be without a certificate. */
export function isBulk(order: OrderRecord, now: number): boolean {
  const pressing = order.renewal !== null && order.renewal !== 'due';
  return !pressing && !isWaitedFor(order, now);
}

/** Among those that ask a CA at once, the greatest goes first. */
export function urgencyOf(order: OrderRecord, now: number): number {
  if (isWaitedFor(order, now)) return 2;
  return laneOf(order) === 'pressing' || isPlaced(order) ? 1 : 0;
}

export function isWaitedFor({ waitedUntil }: OrderRecord, now: number): boolean {
  return waitedUntil !== null && Date.parse(waitedUntil) > now;
}

/** Whether a first attempt had its turn, and has a date instead, since an issuer is passed over until then. */
export function isHeldBack(order: OrderRecord): boolean {
  const { step, place, renewal, setbacks } = order;
  return step === 'idle' && place === null && renewal === null && Object.keys(setbacks).length > 0;
}

/** Whether it waits for its turn among the first attempts. */
export function isPlaced(order: OrderRecord): boolean {
  return order.place !== null && placedLanes.includes(laneOf(order));
}

export function putOrder(id: string, value: OrderRecord): Change {
  return {
    op: 'put',
    kind: 'order',
    id,
    value,
    dueAt: value.dueAt === null ? null : isPlaced(value) ? value.place : Date.parse(value.dueAt),
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
