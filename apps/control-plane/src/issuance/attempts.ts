import type { OrderRecord, StoredRecord } from '@lockstep/contract';
import type { Logger } from 'pino';
import { isInterruption } from '../changes/kept-lease.ts';
import type { CaCounts } from '../issuers/ca-counts.ts';
import { type Issuer, IssuerFailure } from '../issuers/issuer.ts';
import type { IssuerRegistry } from '../issuers/issuer-registry.ts';
import {
  type Exemption,
  isRefusal,
  type Ledger,
  type LedgerEntry,
  type LedgerRefusal,
} from '../issuers/ledger/ledger.ts';
import type { OrderQueue } from '../orders/order-queue.ts';
import { isBulk, resetOrder, urgencyOf } from '../orders/order-record.ts';
import { iso } from '../time/iso.ts';
import { shortLimitMs } from './after-failure.ts';
import { type AttemptOutcomes, type Issued, toFailure, withdrawChallenge } from './attempt-outcomes.ts';
import { dnsCheckMs } from './back-off.ts';
import type { CaGate } from './ca-gate.ts';
import type { Consent } from './consent.ts';
import type { HostContext } from './host-context.ts';
import { chooseIssuer, issuersAfter } from './issuer-choice.ts';
import type { Preflight, PreflightResult } from './preflight.ts';
import type { Outcome, StepTools } from './step-tools.ts';

export interface AttemptsOptions {
  registry: IssuerRegistry;
  preflight: Preflight;
  ledger: Ledger;
  outcomes: AttemptOutcomes;
  gate: CaGate;
  consent: Consent;
  queue: Pick<OrderQueue, 'enter'>;
  counts: Pick<CaCounts, 'attempt'>;
  log: Logger;
  now: () => number;
}

type Order = StoredRecord<'order'>;
type Certificate = StoredRecord<'certificate'> | null;

/** Takes an attempt from the look at the DNS to the certificate, or to the next date. */
export interface Attempts {
  begin(record: Order, context: HostContext, tools: StepTools): Promise<Outcome>;
  resume(record: Order, context: HostContext, tools: StepTools): Promise<Outcome>;
  /** Takes back what an order left elsewhere. */
  cleanUp(order: OrderRecord): Promise<void>;
}

interface Surroundings extends HostContext {
  chain: string[];
  /** Issuers of the chain that the attempt may move on to. */
  others: string[];
}

export function createAttempts(options: AttemptsOptions): Attempts {
  const { registry, preflight, ledger, outcomes, gate, consent, queue, counts, log, now } = options;

  async function begin(taken: Order, context: HostContext, tools: StepTools): Promise<Outcome> {
    const { certificate, policy } = context;
    const withheld = await consent(taken, certificate, policy.named);
    if (withheld !== null) return tools.write({ order: withheld });
    const looked = await preflight.check(taken.value.host, policy, taken.value.seenDns);
    const order = { ...taken.value, seenDns: looked.seen };
    const record = { ...taken, value: order };
    const chain = policy.issuers ?? registry.defaultChain(); // of the settings as the look has found them
    if (!looked.ok) return tools.write({ order: waiting(order, looked) });
    // In a queue of its own until here: now it belongs to that of its attempt.
    if (order.waitingForDns !== null)
      return tools.write({ order: await queue.enter({ ...order, waitingForDns: null, dueAt: iso(now()) }) });

    const { find } = registry;
    const choice = await chooseIssuer({
      order,
      chain,
      allowed: looked.issuers,
      challenge: policy.challenge,
      find,
      now: now(),
    });
    if (choice.issuer === null) {
      if (choice.until !== null) {
        // An attempt that moved on and found no other issuer has failed: it is told of already.
        const failures = order.failures + (order.beganAt === null ? 0 : 1);
        return tools.write({ order: resetOrder(order, { failures, dueAt: iso(choice.until) }) });
      }
      const error = new IssuerFailure(choice.detail, { kind: 'unproven' });
      return fail(record, tools, { ...context, issuer: null, chain, others: [], error });
    }
    const { issuer, others } = choice;
    const started = await spend(record, issuer, exemptionOf(order, certificate, issuer), tools);
    if (started === null) return { order };
    if ('until' in started) return limited(record, tools, issuer, { chain, others }, started);
    return step(started, tools, issuer, { ...context, chain, others });
  }

  /** The order of an attempt that has begun, with what it spends written down before a CA is asked; null: read it anew. */
  async function spend(
    record: Order,
    issuer: Issuer,
    exempt: Exemption,
    tools: StepTools,
  ): Promise<Order | LedgerRefusal | null> {
    const { value } = record;
    const order = begun(value, issuer.name);
    if (!issuer.asksCa) return { ...record, value: order };
    const bulk = isBulk(value, now());
    const find = () => ledger.spendOrder(issuer.name, issuer.limits, value.host, exempt, bulk);
    let entry: LedgerEntry | LedgerRefusal | null = await find();
    if (isRefusal(entry)) return entry;
    // What the ledger does not have to remember is written with the first step.
    if (entry.changes.length === 0) return { ...record, value: order };
    const spent = await tools.spend(issuer.name, async () => {
      const found = entry ?? (await find());
      entry = null; // where another spent meanwhile, it is found anew
      return isRefusal(found) ? found : { order, ...found };
    });
    return spent === null || isRefusal(spent) ? spent : spent.record;
  }

  /** The order in an attempt at an issuer; those that are tried in one go are one attempt. */
  function begun(order: OrderRecord, issuer: string): OrderRecord {
    return {
      ...order,
      issuer,
      attempts: countedAttempts(order),
      beganAt: order.beganAt ?? iso(now()),
      place: null,
      dueAt: iso(now()),
    };
  }

  async function limited(
    record: Order,
    tools: StepTools,
    issuer: Issuer,
    { chain, others }: Pick<Surroundings, 'chain' | 'others'>,
    { until, detail }: LedgerRefusal,
  ): Promise<Outcome> {
    const order = record.value;
    counts.attempt(issuer.name, 'held_back');
    const setbacks = {
      ...order.setbacks,
      [issuer.name]: { failures: order.setbacks[issuer.name]?.failures ?? 0, until: iso(until) },
    };
    const [next] = others;
    const short = until - now() <= shortLimitMs;
    if (next !== undefined && !short) {
      const moved = { ...begun(order, next), setbacks };
      return tools.write(await outcomes.passedOver(record.id, moved, issuer, detail));
    }
    // Others of the chain were passed over for a while: whichever is back first has its turn.
    const backAt = chain.map((name) => Date.parse(setbacks[name]?.until ?? '')).filter((at) => at > now());
    const change = { setbacks, place: null, dueAt: iso(Math.min(until, ...backAt)) };
    // Nothing has failed, and a caller who waits for the route may see it live yet.
    if (short && order.setbacks[issuer.name] === undefined)
      return tools.write({ order: resetOrder(order, change) });
    const type = 'urn:ietf:params:acme:error:rateLimited';
    const lastError = { detail, issuer: issuer.name, step: order.step, type, at: iso(now()) };
    return tools.write({ order: resetOrder(order, { ...change, lastError }) });
  }

  async function resume(record: Order, context: HostContext, tools: StepTools): Promise<Outcome> {
    const order = record.value;
    const issuer = order.issuer === null ? null : await registry.find(order.issuer);
    // It was deleted meanwhile. A TXT record stays: the provider that made it may have gone with the issuer.
    if (issuer === null)
      return tools.write({
        order: resetOrder(order, { dueAt: iso(now()) }),
        changes: withdrawChallenge(order),
      });
    const { challenge } = context.policy;
    const chain = context.policy.issuers ?? registry.defaultChain();
    const others = await issuersAfter({ order, chain, challenge, find: registry.find, now: now() });
    return step(record, tools, issuer, { ...context, chain, others });
  }

  /** One step at the issuer, and what came of it written down. */
  async function step(
    record: Order,
    tools: StepTools,
    issuer: Issuer,
    surroundings: Surroundings,
  ): Promise<Outcome> {
    const { id, value: order } = record;
    const { certificate, policy } = surroundings;
    const { lease } = tools;
    const take = async (signal: AbortSignal): Promise<Outcome> => {
      lease.check(); // it may have waited its turn for long
      const context = { signal, challenge: policy.challenge, proxied: policy.proxied, certificate };
      const result = await issuer.advance(id, order, context);
      if (result.outcome === 'issued') return finish(record, tools, issuer, result);
      const { changes = [], waitMs = 0 } = result;
      const next = { ...order, ...result.order, lastError: null, dueAt: iso(now()) };
      return tools.write({ order: next, changes, waitMs });
    };
    try {
      const opensOrder = issuer.asksCa && order.orderUrl === null;
      if (!opensOrder) return await take(lease.signal);
      // An order that the CA has made is written down, also when this process is asked to stop meanwhile.
      return await gate.run(issuer, urgencyOf(order, now()), () => lease.finishing(take));
    } catch (error) {
      if (lease.signal.aborted || isInterruption(error)) throw error;
      return fail(record, tools, { ...surroundings, issuer, error });
    }
  }

  async function finish(record: Order, tools: StepTools, issuer: Issuer, issued: Issued): Promise<Outcome> {
    const spent = await tools.spend(issuer.name, () => outcomes.issued(record, issuer, issued));
    if (spent === null || isRefusal(spent)) return { order: record.value };
    counts.attempt(issuer.name, 'issued');
    log.info({ certificate: record.id, issuer: issuer.name }, 'certificate issued');
    await issuer.cleanUp(record.value);
    return spent.outcome;
  }

  async function fail(
    failed: Order,
    tools: StepTools,
    attempt: Surroundings & { issuer: Issuer | null; error: unknown },
  ): Promise<Outcome> {
    const { issuer, certificate, error } = attempt;
    // Where no issuer could be chosen, this is all there is to the attempt.
    const attempts = issuer === null ? countedAttempts(failed.value) : failed.value.attempts;
    const record = { ...failed, value: { ...failed.value, attempts } };
    const exempt = issuer === null ? false : exemptionOf(record.value, certificate, issuer);
    const spent = await tools.spend(issuer?.name ?? '', () =>
      outcomes.failed({ ...attempt, record, exempt }),
    );
    if (spent === null || isRefusal(spent)) return { order: failed.value };
    if (issuer !== null) counts.attempt(issuer.name, toFailure(error).kind);
    log.warn(
      { certificate: record.id, issuer: issuer?.name, step: record.value.step, err: error },
      'an attempt failed',
    );
    if (spent.outcome.ended) await issuer?.cleanUp(record.value);
    return spent.outcome;
  }

  function waiting(order: OrderRecord, { detail }: PreflightResult): OrderRecord {
    const known = order.waitingForDns;
    const checks = (known?.checks ?? 0) + 1;
    return resetOrder(order, {
      waitingForDns: { since: known?.since ?? iso(now()), checks, detail },
      dueAt: iso(now() + dnsCheckMs(checks)),
    });
  }

  function exemptionOf(order: OrderRecord, certificate: Certificate, issuer: Issuer): Exemption {
    if (certificate?.value.issuer !== issuer.name) return false;
    const window = order.ari?.window ?? null;
    return window !== null && Date.parse(window.start) <= now() ? true : 'renewal';
  }

  return {
    begin,
    resume,
    async cleanUp(order) {
      if (order.issuer !== null) await (await registry.find(order.issuer))?.cleanUp(order);
    },
  };
}

function countedAttempts({ beganAt, attempts }: OrderRecord): number {
  return beganAt === null ? attempts + 1 : attempts;
}
