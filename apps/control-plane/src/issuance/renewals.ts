import type { OrderRecord, StoredRecord } from '@lockstep/contract';
import type { Logger } from 'pino';
import { IssuerFailure } from '../issuers/interface/issuer.ts';
import type { IssuerRegistry } from '../issuers/issuer-registry.ts';
import { iso } from '../time/iso.ts';
import { createAriRest } from './ari-rest.ts';
import { ariCheckDelay, ariRetryMs, dateInWindow, dayMs, planUpkeep } from './renewal.ts';
import type { Outcome, StepTools } from './step-tools.ts';

export interface RenewalsOptions {
  registry: Pick<IssuerRegistry, 'find'>;
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

export function createRenewals({ registry, log, now, random = Math.random }: RenewalsOptions): Renewals {
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
      const next: OrderRecord =
        plan.do === 'renew'
          ? { ...order, renewal: plan.reason, dueAt: iso(now()) }
          : plan.do === 'ask'
            ? await ask(record, certificate, plan.renewAt, lease.signal)
            : { ...order, renewAt: iso(plan.renewAt), dueAt: iso(plan.until) };
      const outcome = { order: next, changes: [], waitMs: 0 };
      await write(record, outcome);
      return outcome;
    },
  };
}
