import {
  AppError,
  type Boundary,
  createBoundary,
  type Hint,
  idleOrder,
  normaliseHost,
  type OnDemand as OnDemandSettings,
  wildcardOf,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import { commitUnlessChanged } from '../changes/writes.ts';
import { refusePublicSuffix } from '../names/public-suffix.ts';
import type { OrderQueue } from '../orders/order-queue.ts';
import { putOrder } from '../orders/order-record.ts';
import type { SettingsSource } from '../settings/settings-source.ts';
import { iso } from '../time/iso.ts';
import { type Answer, askEndpoint } from './ask-endpoint.ts';
import { createTotalLimit } from './total-limit.ts';

/** Names that are asked about at once; beyond them, edges ask again. */
const defaultInFlight = 64;
/**
 * Longer than a question takes. It is left to run out, not released: so a control plane that heard of the same handshake a moment
 * later finds it held and does not ask again before it has heard the verdict.
 */
const leaseMs = 15_000;
const rememberedRefusals = 100_000;
const unclearMs = 10_000;
const allowedMs = 60_000;

/** Decides about names that no route names, when a handshake asks for one. */
export interface OnDemand {
  readonly counts: Readonly<Record<Outcome, number>>;
  /**
   * Asks again before a certificate is renewed. Throws `upstream_unreachable` when there is no clear answer: the certificate stays,
   * and the question is put again later.
   */
  allows(host: string): Promise<boolean>;
  close(): Promise<void>;
}

/**
 * - known: a route, a certificate or an order is there already. invalid: no name that anybody could certify.
 * - waiting: its order failed, or waits for the DNS, for longer than a handshake is held.
 * - allowed, refused, unclear: what the endpoint said. remembered: it said no a while ago.
 * - limited: too many new names in this minute. dropped: too many questions at once.
 */
type Outcome = keyof ReturnType<typeof noneCounted>;

export interface OnDemandOptions {
  store: ConfigStore;
  settings: Pick<SettingsSource, 'current'>;
  queue: Pick<OrderQueue, 'enter'>;
  log: Logger;
  now?: () => number;
  fetch?: typeof globalThis.fetch;
  inFlight?: number;
  boundary?: Boundary;
}

export function createOnDemand(options: OnDemandOptions): OnDemand {
  const { store, settings, queue, log, now = Date.now, fetch = globalThis.fetch } = options;
  const { inFlight = defaultInFlight, boundary = createBoundary(log) } = options;
  const stop = new AbortController();
  const inTurn = pLimit(inFlight);
  const total = createTotalLimit({ store, now });
  const deciding = new Map<string, Promise<void>>();
  /** By host, until when it is refused. */
  // Not by `max`, which takes the room for all of them at once.
  const refusals = new LRUCache<string, number>({ maxSize: rememberedRefusals, sizeCalculation: () => 1 });
  /** The endpoint that refused them: another one may say otherwise. */
  let refusedBy: string | null = null;
  const counts = noneCounted();
  let unclear = false;

  function hear(hint: Hint): void {
    const { onDemand } = settings.current();
    if (onDemand === null) return;
    if (onDemand.ask !== refusedBy) {
      refusals.clear();
      refusedBy = onDemand.ask;
    }
    if (hint.hint === 'ask') consider(hint.host, onDemand);
    // Another control plane's; no longer than this one would refuse it.
    else if (hint.hint === 'verdict' && !hint.allowed)
      refusals.set(hint.host, Math.min(hint.until, refusedUntil(onDemand)));
  }

  function consider(host: string, onDemand: OnDemandSettings): void {
    if (deciding.has(host)) return; // the verdict goes to everybody
    const until = refusals.get(host) ?? 0;
    if (until > now()) {
      counts.remembered += 1;
      sendVerdict(host, false, until);
    } else if (!isCertifiable(host)) {
      counts.invalid += 1;
      sendVerdict(host, false, refusedUntil(onDemand));
    } else if (deciding.size >= inFlight) {
      counts.dropped += 1;
    } else {
      const decision = decide(host, onDemand)
        .catch((error: unknown) => {
          if (!stop.signal.aborted)
            log.warn({ err: error, host }, 'cannot decide about a name that a handshake asked for');
        })
        .finally(() => deciding.delete(host));
      deciding.set(host, decision);
    }
  }

  async function decide(host: string, onDemand: OnDemandSettings): Promise<void> {
    const dueAt = await knownUntil(host);
    if (dueAt !== null) {
      if (dueAt <= now() + onDemand.holdMs) return conclude(host, 'known', now() + allowedMs);
      return conclude(host, 'waiting', Math.min(dueAt, refusedUntil(onDemand)));
    }
    const lease = await store.acquireLease(`on-demand/${host}`, leaseMs);
    if (lease === null) return; // another control plane asks
    const nextAt = await total.take(onDemand.totalPerMinute);
    if (nextAt !== null) {
      await store.releaseLease(lease);
      return conclude(host, 'limited', nextAt);
    }
    const said = await ask(host, onDemand);
    if (stop.signal.aborted) return;
    if (said.answer === 'unclear') return conclude(host, 'unclear', now() + unclearMs);
    if (said.answer === 'no') {
      log.info({ host }, 'a name is refused on demand');
      return conclude(host, 'refused', refusedUntil(onDemand));
    }
    await placeOrder(host, onDemand);
    log.info({ host }, 'a name is allowed on demand');
    conclude(host, 'allowed', now() + allowedMs);
  }

  /**
   * When something comes of a name that is known already, in milliseconds since 1970: at once where there is a certificate or a route.
   * Null for a new name; an order whose grace time runs out does not count, as nothing would come of it.
   */
  async function knownUntil(host: string): Promise<number | null> {
    const wildcard = wildcardOf(host);
    const [order, certificate, ...claims] = await Promise.all([
      store.get('order', host),
      store.get('certificate', host),
      store.findClaims(`${host} `, 1),
      wildcard === null ? [] : store.findClaims(`${wildcard} `, 1),
    ]);
    if (certificate !== null || claims.flat().length > 0) return 0;
    if (order === null || order.value.unusedSince != null) return null;
    return order.value.dueAt === null ? 0 : Date.parse(order.value.dueAt);
  }

  async function ask(host: string, { ask }: OnDemandSettings): Promise<Answer> {
    const said = await inTurn(() => askEndpoint({ ask, host, fetch, signal: stop.signal }));
    // Once for a row of them: an endpoint that is down would fill the log.
    if (said.answer === 'unclear' && !unclear && !stop.signal.aborted)
      log.warn({ host }, `the ask endpoint gives no clear answer, new names are refused: ${said.why}`);
    if (said.answer !== 'unclear' && unclear) log.info('the ask endpoint answers again');
    unclear = said.answer === 'unclear';
    return said;
  }

  async function placeOrder(host: string, { holdMs }: OnDemandSettings): Promise<void> {
    const existing = await store.get('order', host);
    const at = iso(now());
    const value =
      existing === null
        ? { ...idleOrder(host, at, at), onDemand: true }
        : { ...existing.value, onDemand: true, unusedSince: null, dueAt: at };
    // Where it changed meanwhile, a route came to name it.
    await commitUnlessChanged(store, {
      by: { kind: 'on-demand' },
      checks: [{ kind: 'order', id: host, revision: existing?.revision ?? null }],
      // A handshake is held for it.
      changes: [putOrder(host, await queue.enter(value, { waitMs: holdMs }))],
    });
  }

  function conclude(host: string, outcome: Outcome, until: number): void {
    counts[outcome] += 1;
    const allowed = outcome === 'known' || outcome === 'allowed';
    if (!allowed) refusals.set(host, until);
    sendVerdict(host, allowed, until);
  }

  function sendVerdict(host: string, allowed: boolean, until: number): void {
    store
      .sendHint({ hint: 'verdict', host, allowed, until: Math.round(until) })
      .catch((error: unknown) => log.debug({ err: error, host }, 'could not send a verdict'));
  }

  function refusedUntil({ refusedForSeconds }: OnDemandSettings): number {
    return now() + refusedForSeconds * 1_000;
  }

  const unwatch = store.watchHints(boundary.guard('hint', hear));

  return {
    counts,
    async allows(host) {
      const { onDemand } = settings.current();
      if (onDemand === null) return false;
      const said = await ask(host, onDemand);
      if (said.answer !== 'unclear') return said.answer === 'yes';
      const detail = `the ask endpoint gave no clear answer about ${host}: ${said.why}`;
      throw new AppError('upstream_unreachable', detail);
    },
    async close() {
      unwatch();
      stop.abort(new Error('the control plane stops'));
      await Promise.allSettled(deciding.values());
    },
  };
}

function noneCounted() {
  return {
    known: 0,
    waiting: 0,
    invalid: 0,
    allowed: 0,
    refused: 0,
    unclear: 0,
    remembered: 0,
    limited: 0,
    dropped: 0,
  };
}

/** A full name below a public suffix, as it is stored. */
function isCertifiable(host: string): boolean {
  try {
    refusePublicSuffix(host, '/host');
    return normaliseHost(host) === host && !host.startsWith('*.');
  } catch {
    return false;
  }
}
