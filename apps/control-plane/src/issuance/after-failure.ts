import type { OrderRecord, Setback } from '@lockstep/contract';
import { persistName } from '../dns/persist-record.ts';
import type { IssuerFailure } from '../issuers/issuer.ts';
import { resetOrder } from '../orders/order-record.ts';
import { iso } from '../time/iso.ts';
import { backOffMs, stumbleMs } from './back-off.ts';

/** A CA that failed this often in a row within one order is left for the next one of the chain. */
const patientStumbles = 5;
/** A Retry-After beyond this is not taken at its word. */
const longestWaitMs = 86_400_000;
/** For so long an issuer's limits are waited for rather than gone round. */
export const shortLimitMs = 60_000;
const leastWaitMs = 60_000;
const pausedWaitMs = 86_400_000;

export interface FailedStep {
  order: OrderRecord;
  issuer: string;
  failure: IssuerFailure;
  /** The issuers that come after this one and may be tried now. */
  others: string[];
  /** The whole chain. */
  chain: string[];
  /** When the certificate that is served now expires, in milliseconds since 1970; null without one. */
  expiresAt: number | null;
  now: number;
  random?: () => number;
}

export interface Reaction {
  order: OrderRecord;
  /** The attempt with this issuer failed: it is told of. */
  failed: boolean;
  /** Its order is given up: what it had placed is withdrawn. */
  ended: boolean;
  /** What happens next, in a sentence. */
  next: string;
}

/**
 * What follows a step that failed. Where waiting will not help, the next issuer of the chain is tried at once; an order that the CA has
 * begun is kept while it stumbles; and everything else is tried again at a date, for as long as the route exists.
 */
export function afterFailure(step: FailedStep): Reaction {
  const { order, failure, now, random = Math.random } = step;
  const retryAfterMs = Math.min(failure.retryAfterMs ?? 0, longestWaitMs);
  if (failure.kind === 'unproven') return backOff(step, retryAfterMs);
  const stumbles = order.stumbles + 1;
  const patient = stumbles <= patientStumbles;
  if (failure.kind === 'lost' && patient) {
    return {
      order: { ...restart(order), stumbles, dueAt: iso(now) },
      failed: false,
      ended: true,
      next: 'The order is begun again.',
    };
  }
  if (failure.kind === 'hindered' && order.orderUrl !== null) return goOnLater(step, retryAfterMs);
  const passing = failure.kind === 'unavailable' || failure.kind === 'limit';
  if (passing && order.orderUrl !== null) {
    const waitMs = Math.max(retryAfterMs, stumbleMs(Math.min(stumbles, 8), random));
    const alone = step.others.length === 0;
    if ((patient && (alone || waitMs <= shortLimitMs)) || (failure.kind === 'limit' && alone)) {
      return {
        order: { ...order, stumbles, dueAt: iso(now + waitMs) },
        // What is over in a moment is not worth a word.
        failed: waitMs > shortLimitMs,
        ended: false,
        next: `The order goes on at ${iso(now + waitMs)}.`,
      };
    }
  }
  return moveOn(step, retryAfterMs);
}

/** The CA has nothing to do with what hinders its order, and another issuer would meet the same: the order is kept however long it takes. */
function goOnLater(step: FailedStep, retryAfterMs: number): Reaction {
  const { order, now, random = Math.random } = step;
  const stumbles = order.stumbles + 1;
  const patient = stumbles <= patientStumbles;
  const failures = patient ? order.failures : order.failures + 1;
  const pauseMs = patient ? stumbleMs(stumbles, random) : cappedByExpiry(step, backOffMs(failures, random));
  const waitMs = Math.max(retryAfterMs, pauseMs);
  const dueAt = iso(now + waitMs);
  return {
    order: { ...order, stumbles, failures, dueAt },
    // Whoever asks for a moment has not failed the host; what stumbles is the operator's to repair, who has to hear of it.
    failed: retryAfterMs === 0 || !patient || waitMs > shortLimitMs,
    ended: false,
    next: `The order goes on at ${dueAt}.`,
  };
}

/** On to the next issuer at once; after the last, back to the chain when the first of them may be tried again. */
function moveOn(step: FailedStep, retryAfterMs: number): Reaction {
  const { order, issuer, failure, others, chain, now, random = Math.random } = step;
  const failures = (order.setbacks[issuer]?.failures ?? 0) + 1;
  const dated = failure.kind === 'limit' && retryAfterMs > 0;
  const waitMs = dated
    ? retryAfterMs
    : failure.kind === 'paused'
      ? Math.round(pausedWaitMs * (0.9 + random() * 0.2)) // until somebody does something about it: it fails without costing anything
      : Math.max(retryAfterMs, cappedByExpiry(step, backOffMs(failures, random)));
  const setbacks: Record<string, Setback> = {
    ...order.setbacks,
    [issuer]: { failures, until: iso(now + waitMs) },
  };
  const [next] = others;
  const brief = dated && waitMs <= shortLimitMs;
  if (next !== undefined && !brief) {
    return {
      order: resetOrder(order, { issuer: next, beganAt: order.beganAt, setbacks, dueAt: iso(now) }),
      failed: true,
      ended: true,
      next: triedNext(next),
    };
  }
  const until = Math.min(...chain.map((name) => Date.parse(setbacks[name]?.until ?? iso(now + waitMs))));
  const dueAt = iso(Math.max(until, now + Math.min(waitMs, leastWaitMs)));
  const changes = { failures: order.failures + 1, setbacks, dueAt };
  // An order that the CA has begun, and cannot go on with for now, is kept: there is no other issuer to turn to.
  const kept = failure.kind === 'unavailable' && order.orderUrl !== null;
  return {
    order: kept ? { ...order, ...changes, stumbles: 0 } : resetOrder(order, changes),
    // A CA that asks for a moment has not failed the host, unless it goes on like that.
    failed: !brief || failures > 1,
    ended: !kept,
    next: `${kept ? 'The order goes on' : 'It is tried again'} at ${dueAt}.`,
  };
}

function backOff(step: FailedStep, retryAfterMs: number): Reaction {
  const { order, failure, now, random = Math.random } = step;
  const failures = order.failures + 1;
  const unproven = order.unproven + 1;
  const dueAt = iso(now + Math.max(retryAfterMs, cappedByExpiry(step, backOffMs(unproven, random))));
  return {
    order: resetOrder(order, { failures, unproven, dueAt }),
    failed: true,
    ended: true,
    next: `It is tried again at ${dueAt}${failure.counted ? `: until then, ${adviceFor(order)}` : ''}.`,
  };
}

/** What the owner of a name that a CA could not validate has to look at. */
function adviceFor({ host, challengeType }: OrderRecord): string {
  if (challengeType === 'dns-persist-01')
    return `see that ${persistName(host)} can be looked up from outside, and has the TXT record that dnsRequirements shows`;
  if (challengeType !== 'dns-01') return 'see that the name leads to the edges';
  const name = `_acme-challenge.${host.replace(/^\*\./, '')}`;
  return `see that ${name} can be looked up from outside, and leads to where the DNS provider makes the record`;
}

/** A served certificate that is about to expire is not left alone for a day: at most an eighth of what is left to it. */
function cappedByExpiry({ expiresAt, now }: FailedStep, waitMs: number): number {
  if (expiresAt === null || expiresAt <= now) return waitMs;
  return Math.min(waitMs, Math.max(leastWaitMs, (expiresAt - now) / 8));
}

export function triedNext(issuer: string): string {
  return `The next issuer, "${issuer}", is tried at once.`;
}

/** The same attempt with another order. */
function restart(order: OrderRecord): OrderRecord {
  return resetOrder(order, { issuer: order.issuer, beganAt: order.beganAt });
}
