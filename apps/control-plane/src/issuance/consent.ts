import { isAppError, type OrderRecord, type StoredRecord } from '@lockstep/contract';
import { resetOrder } from '../orders/order-record.ts';
import { iso } from '../time/iso.ts';

/** How long the certificate of a name that may no longer be asked for is kept. */
const unwantedGraceMs = 3_600_000;
/** Between two questions while there is no clear answer. Renewals begin days before a certificate expires. */
const askAgainMs = 600_000;

export interface ConsentOptions {
  /** Whether a name that a handshake asked for may still have a certificate. Throws `upstream_unreachable` without a clear answer. */
  stillAllowed(host: string): Promise<boolean>;
  now: () => number;
  random?: () => number;
}

/**
 * Whether an attempt for a name that no route names may begin: null when it may, else the order as it goes on. The first attempt
 * follows the answer that a handshake got; each later one asks anew, or names that are nobody's any more would be tried for ever.
 */
export type Consent = (
  order: StoredRecord<'order'>,
  certificate: StoredRecord<'certificate'> | null,
  named: boolean,
) => Promise<OrderRecord | null>;

export function createConsent({ stillAllowed, now, random = Math.random }: ConsentOptions): Consent {
  return async ({ value: order }, certificate, named) => {
    if (!order.onDemand || named || order.beganAt !== null) return null;
    const first = certificate === null && order.attempts === 0 && (order.waitingForDns?.checks ?? 0) === 0;
    if (first) return null;
    try {
      if (await stillAllowed(order.host)) return null;
      return resetOrder(order, { unusedSince: iso(now()), dueAt: iso(now() + unwantedGraceMs) });
    } catch (error) {
      if (!isAppError(error, 'upstream_unreachable')) throw error;
      // A date, or an endpoint that is down would keep the places of those whose renewal needs no answer.
      return resetOrder(order, {
        lastError: { detail: error.message, issuer: null, step: order.step, type: null, at: iso(now()) },
        dueAt: iso(now() + askAgainMs * (0.9 + random() * 0.2)),
      });
    }
  };
}
