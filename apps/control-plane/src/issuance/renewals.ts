import type { OrderRecord, StoredRecord } from '@lockstep/contract';
import type { Logger } from 'pino';
import { type Issuer, IssuerFailure } from '../issuers/issuer.ts';
import type { IssuerRegistry } from '../issuers/issuer-registry.ts';
import { iso } from '../time/iso.ts';
import { afterPersistLook } from './persist-watch.ts';
import type { Preflight } from './preflight.ts';
import { ariCheckDelay, ariRetryMs, dateInWindow, dayMs, planUpkeep } from './renewal-dates.ts';
import type { Outcome, StepTools } from './step-tools.ts';

const restMs = 60_000;
const longestRestMs = dayMs;

export interface RenewalsOptions {
  registry: Pick<IssuerRegistry, 'find'>;
  preflight: Pick<Preflight, 'check'>;
  log: Logger;
  now: () => number;
  random?: () => number;
}

/** Decides when a certificate is obtained anew. */
export interface Renewals {
  /** Keeps the date of the next renewal; null when the certificate has to be obtained now. */
  next(
    record: StoredRecord<'order'>,
    certificate: StoredRecord<'certificate'> | null,
    tools: StepTools,
  ): Promise<Outcome | null>;
}

export function createRenewals({
  registry,
  preflight,
  log,
  now,
  random = Math.random,
}: RenewalsOptions): Renewals {
  const rest = createAriRest({ now });

  async function ask(
    { id, value: order }: StoredRecord<'order'>,
    { value: certificate }: StoredRecord<'certificate'>,
    plannedAt: number,
    signal: AbortSignal,
  ): Promise<OrderRecord> {
    const issuer = await registry.find(certificate.issuer);
    const window = order.ari?.window ?? null;
    /** Asked again later; spread, since one outage postpones all of a CA's certificates. */
    const postponed = (waitMs: number): OrderRecord => {
      const checkAt = now() + Math.max(ariRetryMs, waitMs) * (1 + random() / 2);
      return { ...order, ari: { window, checkAt: iso(checkAt) }, dueAt: iso(Math.min(plannedAt, checkAt)) };
    };
    const restsUntil = issuer === null ? null : rest.until(issuer);
    if (restsUntil !== null) return postponed(restsUntil - now());
    try {
      const info = (await issuer?.renewalInfo(certificate.chain, signal)) ?? null;
      if (issuer !== null) rest.answered(issuer);
      if (info === null) return { ...order, ari: null, dueAt: iso(plannedAt) };
      const checkAt = now() + ariCheckDelay(info.retryAfterMs);
      const same = window !== null && window.start === info.window.start && window.end === info.window.end;
      if (!same && info.window.explanationUrl !== null)
        log.warn(
          { certificate: id, ...info.window },
          'the CA suggests another date of renewal, and says why',
        );
      const lifetimeMs = Date.parse(certificate.notAfter) - Date.parse(certificate.notBefore);
      const latest = Date.parse(certificate.notAfter) - lifetimeMs / 10;
      const renewAt = same ? plannedAt : Math.max(now(), Math.min(latest, dateInWindow(info.window)));
      return {
        ...order,
        ari: { window: info.window, checkAt: iso(checkAt) },
        renewAt: iso(renewAt),
        dueAt: iso(Math.min(renewAt, checkAt)),
      };
    } catch (error) {
      if (!(error instanceof IssuerFailure)) throw error;
      log.info({ certificate: id, err: error }, 'the CA gave no renewal information; it is asked again');
      if (issuer !== null) rest.failed(issuer, error);
      return postponed(Math.min(dayMs, error.retryAfterMs ?? 0));
    }
  }

  return {
    async next(record, certificate, { lease, write }) {
      const order = record.value;
      const plan = planUpkeep(order, certificate?.value ?? null, now());
      if (plan.do === 'obtain' || certificate === null) return null;
      if (plan.do === 'look') {
        const looked = await preflight.check(order.host, undefined, order.seenDns);
        const known = { ...order, seenDns: looked.seen };
        const { issuer, notAfter } = certificate.value;
        const told = afterPersistLook({ id: record.id, order: known, issuer, notAfter }, looked.seen, now());
        if (told.detail !== null) log.warn({ certificate: record.id }, told.detail);
        const lookAt = Date.parse(told.order.persist?.lookAt ?? iso(plan.until));
        const dueAt = iso(Math.min(plan.until, lookAt));
        return write({ order: { ...told.order, renewAt: iso(plan.renewAt), dueAt }, events: told.events });
      }
      const next: OrderRecord =
        plan.do === 'renew'
          ? { ...order, renewal: plan.reason, dueAt: iso(now()) }
          : plan.do === 'ask'
            ? sooner(await ask(record, certificate, plan.renewAt, lease.signal), plan.until)
            : { ...order, renewAt: iso(plan.renewAt), dueAt: iso(plan.until) };
      return write({ order: next });
    },
  };
}

/** The order due at `at`, if it were due after it. */
function sooner(order: OrderRecord, at: number): OrderRecord {
  const { dueAt } = order;
  return dueAt === null || Date.parse(dueAt) <= at ? order : { ...order, dueAt: iso(at) };
}

/**
 * Which CAs give no renewal information for now, as this process found. Without it each of 100,000 certificates would ask a CA that is
 * down, and those of a CA that hangs would keep all the places in which renewals of the others are noticed.
 */
function createAriRest({ now }: { now: () => number }) {
  const rests = new WeakMap<Issuer, number>();
  return {
    /** Until when the CA is left alone, in milliseconds since 1970. After a rest one may ask; the others wait for what comes of that. */
    until(issuer: Issuer): number | null {
      const until = rests.get(issuer);
      if (until === undefined) return null;
      if (until > now()) return until;
      rests.set(issuer, now() + restMs);
      return null;
    },
    answered(issuer: Issuer): void {
      rests.delete(issuer);
    },
    failed(issuer: Issuer, { kind, retryAfterMs }: IssuerFailure): void {
      if (kind !== 'unavailable' && kind !== 'limit') return;
      const waitMs = Math.min(longestRestMs, Math.max(restMs, retryAfterMs ?? 0));
      rests.set(issuer, Math.max(rests.get(issuer) ?? 0, now() + waitMs));
    },
  };
}
