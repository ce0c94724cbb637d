import {
  type AttemptsRecord,
  type EventDraft,
  isAppError,
  type LastError,
  type OrderRecord,
  recordKey,
  type StoredRecord,
} from '@lockstep/contract';
import { checkChain, type Sealer } from '@lockstep/pki';
import type { Change, Check, ConfigStore } from '@lockstep/store';
import { putCertificate } from '../certificates/certificate-record.ts';
import { type Issuer, IssuerFailure, type StepResult } from '../issuers/issuer.ts';
import type { Exemption, Ledger, LedgerEntry } from '../issuers/ledger/ledger.ts';
import { pauseKey } from '../issuers/ledger/pause-key.ts';
import { resetOrder, upkeepDate } from '../orders/order-record.ts';
import { iso } from '../time/iso.ts';
import { afterFailure, shortLimitMs, triedNext } from './after-failure.ts';
import { persistWatchOf } from './persist-watch.ts';
import { ariRetryMs, firstRenewalDate, pressingReason } from './renewal-dates.ts';
import type { Outcome } from './step-tools.ts';

/** Of each certificate. */
const keptAttempts = 20;

export interface AttemptOutcomesOptions {
  store: ConfigStore;
  sealer: Sealer<'edges'>;
  ledger: Ledger;
  /** What goes into the commit of a certificate so that its OCSP response is fetched; null: its maker names no responder. */
  stapleChanges(id: string, chain: string | null): Change[];
  now: () => number;
}

export interface FailedAttempt {
  record: StoredRecord<'order'>;
  certificate: StoredRecord<'certificate'> | null;
  /** Null: no issuer could be chosen. */
  issuer: Issuer | null;
  chain: string[];
  others: string[];
  error: unknown;
  /** Of what its order was exempt. */
  exempt: Exemption;
}

export type Issued = Extract<StepResult, { outcome: 'issued' }>;
/** `ended`: nothing of the order is left at the issuer. */
export type FailedOutcome = Outcome & { ended: boolean };

/** What is written at the end of an attempt, whichever. */
export interface AttemptOutcomes {
  /** The certificate in place of the old one, if it checks out. Throws `IssuerFailure` when it does not. */
  issued(record: StoredRecord<'order'>, issuer: Issuer, issued: Issued): Promise<Outcome>;
  /** The next issuer, or the next date. */
  failed(attempt: FailedAttempt): Promise<FailedOutcome>;
  /** On to the next issuer without asking this one, which may not be asked before long. `order` is what is written. */
  passedOver(id: string, order: OrderRecord, issuer: Issuer, detail: string): Promise<Outcome>;
}

export function createAttemptOutcomes(options: AttemptOutcomesOptions): AttemptOutcomes {
  const { store, sealer, ledger, now } = options;

  /** The change that adds an attempt to those kept of a certificate. Only the holder of its order's lease writes them. */
  async function addAttempt(
    id: string,
    { attempts: number, step, challengeType: challenge }: OrderRecord,
    issuer: string,
    ending: Pick<
      AttemptsRecord['attempts'][number],
      'outcome' | 'detail' | 'problem' | 'next' | 'failure' | 'link'
    >,
  ): Promise<Change> {
    const known = await store.get('attempts', id);
    const attempt = { number, issuer, step, challenge, ...ending, at: iso(now()) };
    const attempts = [attempt, ...(known?.value.attempts ?? [])].slice(0, keptAttempts);
    return { op: 'put', kind: 'attempts', id, value: { attempts } };
  }

  function check(host: string, { chain, keyPem }: { chain: string; keyPem: string }) {
    try {
      return checkChain({ chain, keyPem, host, now: now() });
    } catch (error) {
      if (!isAppError(error, 'bad_certificate')) throw error;
      throw new IssuerFailure(`the issuer’s certificate cannot be used: ${error.message}`, {
        kind: 'refused',
        cause: error,
      });
    }
  }

  async function issued(
    { id, value: order }: StoredRecord<'order'>,
    issuer: Issuer,
    { chain, keyPem, facts }: Issued,
  ): Promise<Outcome> {
    const made = facts ?? check(order.host, { chain, keyPem });
    const { serialNumber, fingerprint256, notBefore, notAfter } = made;
    const renewAt = firstRenewalDate(Date.parse(notBefore), Date.parse(notAfter), now());
    // What a CA suggests for a new certificate is asked at once; after a renewal later, lest one that always says "now" is obeyed without end.
    const askAt = issuer.asksCa ? now() + (order.renewal === null ? 0 : ariRetryMs) : null;
    const value = {
      host: order.host,
      issuer: issuer.name,
      chain,
      sealedKey: sealer.seal(keyPem, recordKey('certificate', id)),
      serialNumber,
      fingerprint256,
      notBefore,
      notAfter,
      issuedAt: iso(now()),
      revokedAt: null,
    };
    const entry = await ledger.succeed(issuer.name, issuer.limits, order.host);
    const attempt = await addAttempt(id, order, issuer.name, {
      outcome: 'issued',
      detail: `The certificate is valid until ${notAfter}.`,
      problem: null,
      next: `It is renewed around ${iso(renewAt)}.`,
    });
    const next = resetOrder(order, {
      failures: 0,
      unproven: 0,
      setbacks: {},
      lastError: null,
      renewal: null,
      waitingForDns: null,
      workedBefore: order.challengeType ?? order.workedBefore,
      renewAt: iso(renewAt),
      ari: askAt === null ? null : { window: null, checkAt: iso(askAt) },
      persist: persistWatchOf(order, now()),
    });
    return {
      order: { ...next, dueAt: upkeepDate(next) },
      checks: entry.checks,
      changes: [
        putCertificate(id, value),
        ...options.stapleChanges(id, facts === undefined ? chain : null),
        ...withdrawChallenge(order),
        attempt,
        ...entry.changes,
      ],
    };
  }

  async function failed(attempt: FailedAttempt): Promise<FailedOutcome> {
    const { record, certificate, issuer, chain, others, error, exempt } = attempt;
    const { id, value: order } = record;
    const failure = toFailure(error);
    const name = issuer?.name ?? order.issuer ?? chain[0] ?? 'none';
    const reaction = afterFailure({
      order,
      issuer: name,
      failure,
      others,
      chain,
      expiresAt: certificate === null ? null : Date.parse(certificate.value.notAfter),
      now: now(),
    });
    const checks: Check[] = [];
    const events: EventDraft[] = [];
    const changes: Change[] = reaction.ended ? withdrawChallenge(order) : [];
    const entries =
      issuer === null ? [] : await ledgerEntries(issuer, order, failure, reaction.ended, exempt);
    for (const entry of entries) {
      checks.push(...entry.checks);
      changes.push(...entry.changes);
    }
    let next = reaction.order;
    if (next.renewal !== null && certificate !== null)
      next = {
        ...next,
        renewal: pressingReason(next.renewal, certificate.value, Date.parse(next.dueAt ?? iso(now()))),
      };
    if (reaction.failed) {
      const detail = failure.message;
      const lastError: LastError = {
        detail,
        issuer: name,
        step: order.step,
        type: failure.type,
        at: iso(now()),
      };
      next = { ...next, lastError };
      const attempt = await addAttempt(id, order, name, {
        outcome: 'failed',
        detail,
        problem: failure.problem,
        next: reaction.next,
        failure: failure.kind,
        ...(failure.link !== null && { link: failure.link }),
      });
      changes.push(attempt);
      events.push({
        type: 'certificate.failed',
        subject: { kind: 'certificate', id },
        data: {
          hosts: [order.host],
          issuer: name,
          detail,
          type: failure.type,
          nextAttemptAt: next.dueAt,
          notAfter: certificate?.value.notAfter ?? null,
        },
      });
    }
    return { order: next, checks, changes, events, ended: reaction.ended };
  }

  async function passedOver(
    id: string,
    order: OrderRecord,
    issuer: Issuer,
    detail: string,
  ): Promise<Outcome> {
    const next = triedNext(order.issuer ?? '');
    const ending = { outcome: 'failed', detail, problem: null, next } as const;
    return { order, changes: [await addAttempt(id, order, issuer.name, ending)] };
  }

  /** What the failure means for the limits: a failed authorization counts, a certificate that did not come does not. */
  async function ledgerEntries(
    issuer: Issuer,
    { host }: OrderRecord,
    failure: IssuerFailure,
    ended: boolean,
    exempt: Exemption,
  ): Promise<LedgerEntry[]> {
    const { name, limits } = issuer;
    const entries: LedgerEntry[] = [];
    if (failure.counted) entries.push(await ledger.failAuthorization(name, limits, host, exempt));
    else if (ended) entries.push(await ledger.giveBack(name, limits, host, exempt));
    if (failure.retryAfterMs === null) return entries;
    const until = now() + failure.retryAfterMs;
    if (failure.kind === 'limit')
      entries.push(await ledger.pause(name, until, pauseKey(failure.message, host)));
    // RFC 9110, section 15.6.4: the whole service is away so long. For a moment of it no other host has to wait: it goes to the next issuer.
    else if (failure.problem?.status === 503 && failure.retryAfterMs > shortLimitMs)
      entries.push(await ledger.pause(name, until));
    return entries;
  }

  return { issued, failed, passedOver };
}

export function withdrawChallenge({ challengeId }: OrderRecord): Change[] {
  return challengeId === null ? [] : [{ op: 'delete', kind: 'challenge', id: challengeId }];
}

/** What is no issuer's own failure is taken as its refusal. */
export function toFailure(error: unknown): IssuerFailure {
  if (error instanceof IssuerFailure) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new IssuerFailure(detail, { kind: 'refused', cause: error });
}
