import {
  type Boundary,
  isAppError,
  type StoredEvent,
  type StoredRecord,
  type WebhookStateRecord,
} from '@lockstep/contract';
import type { ConfigStore, EventPage } from '@lockstep/store';
import type { Logger } from 'pino';
import { type KeptLease, keepLease } from '../changes/kept-lease.ts';
import { commit } from '../changes/writes.ts';
import { createDueWork } from '../due-work/due-work.ts';
import { matches } from '../events/event-filter.ts';
import type { EventHistory } from '../events/event-history.ts';
import { iso } from '../time/iso.ts';
import type { Answer, Deliver } from './deliver.ts';
import { messageOf } from './message.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
/** After each failure in a row: three days in all, as Standard Webhooks recommends. */
export const retryAfterMs = [
  5 * second,
  5 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
];
const leaseMs = 30_000;
const slots = 20;
const readAtOnce = 100;
/** So many that are not for it are passed before it is written down. */
const mostPassed = 500;
export const keptDeliveries = 100;
const lookIntervalMs = 5_000;

export interface SenderOptions {
  store: ConfigStore;
  history: EventHistory;
  deliver: Deliver;
  boundary: Boundary;
  log: Logger;
  now: () => number;
  random?: () => number;
  /** Between two looks, since hints may be lost. */
  lookMs?: number;
}

/**
 * Sends each webhook its events, one after another and in order: the next when the one before was taken. One that is not taken is tried
 * again for three days; then, or when the target says that it is gone (410), the webhook is disabled.
 */
export function createSender({
  store,
  history,
  deliver,
  boundary,
  log,
  now,
  random = Math.random,
  lookMs = lookIntervalMs,
}: SenderOptions): { close(): Promise<void> } {
  /** Heard of more while it was at work. */
  const again = new Set<string>();

  async function run(
    _lane: 'all',
    { id }: StoredRecord<'webhook-state'>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const granted = await store.acquireLease(`webhook/${id}`, leaseMs);
    if (granted === null) return false;
    const lease = keepLease(store, granted, signal, leaseMs);
    try {
      do {
        again.delete(id);
        while (await step(id, lease));
      } while (again.has(id) && !lease.signal.aborted);
      return true;
    } catch (error) {
      if (lease.signal.aborted || isAppError(error, 'lease_lost')) return true;
      if (isAppError(error, 'revision_conflict')) return false;
      throw error;
    } finally {
      await lease.release();
    }
  }

  /** False when there is nothing more for now. */
  async function step(id: string, lease: KeptLease): Promise<boolean> {
    const [webhook, state] = await Promise.all([store.get('webhook', id), store.get('webhook-state', id)]);
    if (webhook === null || state === null || webhook.value.disabled !== null) return false;
    if (state.value.dueAt !== null && Date.parse(state.value.dueAt) > now()) return false;
    const { types, routes, tenant } = webhook.value;
    const filter = { types: types ?? undefined, routes: routes ?? undefined, tenant: tenant ?? undefined };
    const found = await findNext(state.value.after, (event) => matches(event, filter));
    const gapAt = found.gap ? iso(now()) : state.value.gapAt;
    const passed = { ...state.value, after: found.after, gapAt };
    if (found.event === null) {
      if (found.passed < mostPassed && !found.gap && state.value.dueAt === null) return false;
      await write(state, { ...passed, attempts: 0, failingSince: null, dueAt: null }, lease);
      return false;
    }
    const { event } = found;
    lease.check();
    const answer = await deliver(id, webhook.value, messageOf(event, now()), lease.signal);
    if (lease.signal.aborted) return false;
    const attempt = state.value.attempts + 1;
    const deliveries = [deliveryOf(event, answer, attempt, now()), ...state.value.deliveries].slice(
      0,
      keptDeliveries,
    );
    if (answer.ok) {
      await write(
        state,
        { after: event.id, attempts: 0, failingSince: null, dueAt: null, gapAt, deliveries },
        lease,
      );
      return true;
    }
    const failingSince = state.value.failingSince ?? iso(now());
    const waitMs = retryAfterMs[attempt - 1];
    const next = { ...passed, attempts: attempt, failingSince, deliveries };
    if (answer.status !== 410 && waitMs !== undefined) {
      const dueAt = iso(now() + Math.round(waitMs * (1 + random() / 10)));
      await write(state, { ...next, dueAt }, lease);
      return false;
    }
    const reason =
      answer.status === 410
        ? 'the target answered 410: it is gone'
        : `it took no event since ${failingSince}: ${answer.detail}`;
    log.warn({ webhook: id, reason }, 'a webhook is disabled');
    await write(state, { ...next, attempts: 0, dueAt: null }, lease, { webhook, reason });
    return false;
  }

  /** Goes through the history up to the first event that is asked for. */
  async function findNext(from: string, wanted: (event: StoredEvent) => boolean) {
    let after = from;
    let gap = false;
    for (let passed = 0; ; ) {
      const page: EventPage = await history.read({ after, limit: readAtOnce });
      gap ||= page.gap;
      const at = page.items.findIndex(wanted);
      if (at !== -1)
        return { event: page.items[at]!, after: page.items[at - 1]?.id ?? after, passed: passed + at, gap };
      passed += page.items.length;
      after = page.next;
      if (!page.more) return { event: null, after, passed, gap };
    }
  }

  async function write(
    { id, revision }: StoredRecord<'webhook-state'>,
    value: WebhookStateRecord,
    lease: KeptLease,
    disable?: { webhook: StoredRecord<'webhook'>; reason: string },
  ): Promise<void> {
    const at = iso(now());
    const dueAt = value.dueAt === null ? null : Date.parse(value.dueAt);
    await commit(store, {
      by: { kind: 'system' },
      lease: lease.current(),
      checks: [
        { kind: 'webhook-state', id, revision },
        ...(disable === undefined
          ? []
          : [{ kind: 'webhook' as const, id, revision: disable.webhook.revision }]),
      ],
      changes: [
        { op: 'put', kind: 'webhook-state', id, value, dueAt },
        ...(disable === undefined
          ? []
          : [
              {
                op: 'put' as const,
                kind: 'webhook' as const,
                id,
                value: { ...disable.webhook.value, disabled: { at, reason: disable.reason }, updatedAt: at },
              },
            ]),
      ],
      events:
        disable === undefined
          ? []
          : [
              {
                type: 'webhook.disabled',
                subject: { kind: 'webhook', id },
                data: { webhook: id, reason: disable.reason },
              },
            ],
    });
  }

  const work = createDueWork({
    store,
    kind: 'webhook-state',
    lanes: { all: { slots } },
    run,
    idleMs: lookMs,
    elsewhereMs: 2_000,
    log,
    now,
  });

  /** Those that wait for an event, and not for a date. */
  async function look(): Promise<void> {
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: Awaited<ReturnType<typeof store.list<'webhook-state'>>> = await store.list(
        'webhook-state',
        { limit: 100, cursor },
      );
      for (const record of page.items) {
        if (record.value.dueAt !== null) continue;
        again.add(record.id);
        work.take('all', record);
      }
      cursor = page.next;
    }
  }
  const lookLater = boundary.guard('webhooks', look);
  const unwatch = history.watch(lookLater);
  const timer = setInterval(lookLater, lookMs);

  return {
    async close() {
      unwatch();
      clearInterval(timer);
      await work.close();
    },
  };
}

export function deliveryOf(
  { id, type }: Pick<StoredEvent, 'id' | 'type'>,
  answer: Answer,
  attempt: number,
  at: number,
) {
  const { ok, status, detail, durationMs } = answer;
  return { event: id, type, at: iso(at), ok, status, detail, attempt, durationMs };
}
