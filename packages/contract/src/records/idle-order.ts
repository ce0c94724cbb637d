import type { OrderRecord } from './order.ts';

/** An order with nothing under way and nothing behind it, due at `dueAt` (ISO 8601; null: never by itself). */
export function idleOrder(host: string, createdAt: string, dueAt: string | null): OrderRecord {
  return {
    host,
    ...nothingUnderWay,
    attempts: 0,
    failures: 0,
    unproven: 0,
    setbacks: {},
    lastError: null,
    createdAt,
    dueAt,
    place: null,
    asks: null,
    waitedUntil: null,
    unusedSince: null,
    renewal: null,
    renewAt: null,
    ari: null,
    waitingForDns: null,
    workedBefore: null,
    onDemand: false,
  };
}

/** The fields of an attempt, as they are between attempts. */
export const nothingUnderWay = {
  step: 'idle',
  issuer: null,
  directory: null,
  orderUrl: null,
  finalizeUrl: null,
  challengeUrl: null,
  challengeType: null,
  challengeId: null,
  txt: null,
  sealedKey: null,
  beganAt: null,
  orderedAt: null,
  stumbles: 0,
} as const satisfies Partial<OrderRecord>;
