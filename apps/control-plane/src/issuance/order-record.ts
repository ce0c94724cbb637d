import type { OrderRecord } from '@lockstep/contract';
import type { Change } from '@lockstep/store';

const nothingUnderWay = {
  step: 'idle',
  issuer: null,
  orderUrl: null,
  finalizeUrl: null,
  challengeUrl: null,
  challengeId: null,
  sealedKey: null,
} as const satisfies Partial<OrderRecord>;

/** An order for a host that has none, due at once. */
export function newOrder(host: string, now: number): OrderRecord {
  const at = new Date(now).toISOString();
  return {
    host,
    ...nothingUnderWay,
    failures: 0,
    lastError: null,
    createdAt: at,
    dueAt: at,
    unusedSince: null,
  };
}

/** The order with whatever was under way given up. */
export function resetOrder(order: OrderRecord, changes: Partial<OrderRecord>): OrderRecord {
  return { ...order, ...nothingUnderWay, ...changes };
}

/** The order due at once, as if it had never failed; what is under way goes on. */
export function forgetFailures(order: OrderRecord, now: number): OrderRecord {
  return { ...order, failures: 0, lastError: null, dueAt: new Date(now).toISOString() };
}

export function putOrder(id: string, value: OrderRecord): Change {
  return {
    op: 'put',
    kind: 'order',
    id,
    value,
    dueAt: value.dueAt === null ? null : Date.parse(value.dueAt),
  };
}
