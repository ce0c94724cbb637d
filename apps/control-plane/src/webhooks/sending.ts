import { setTimeout as delay } from 'node:timers/promises';
import type {
  EventDraft,
  StoredEvent,
  StoredRecord,
  WebhookDelivery,
  WebhookStateRecord,
} from '@lockstep/contract';
import type { Change, ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { KeptLease } from '../changes/kept-lease.ts';
import { commit } from '../changes/writes.ts';
import { matches } from '../events/event-filter.ts';
import type { EventHistory } from '../events/event-history.ts';
import { iso } from '../time/iso.ts';
import type { Answer, Deliver } from './deliver.ts';
import { deliveryOf, putDelivery } from './deliveries.ts';
import { messageOf } from './message.ts';
import { createWaitingSubjects, mostOfSubject, type Subject, subjectOf } from './waiting-subjects.ts';
import { filterOf, findEvent, putState, putWebhook } from './webhook-record.ts';

/** Messages on their way to one webhook at once. */
const atOnce = 8;
const readAtOnce = 100;
/** Pages of the history that are read without a look at whose turn has come. */
const pagesAtOnce = 10;
/** So many that are not for it are passed before that is written down. */
const mostPassed = 500;
/** What was taken is written down so often while more is sent: a control plane that dies has those sent again. */
const writeMs = 250;
const mostUnwritten = 100;

export type Outcome = WebhookDelivery['outcome'];

export interface SendingOptions {
  store: ConfigStore;
  history: EventHistory;
  deliver: Deliver;
  log: Logger;
  now: () => number;
  random: () => number;
  count(outcome: Outcome): void;
}

/** How a run is told of more events. */
export interface Heard {
  /** Whether there may be more since it was asked last. */
  take(): boolean;
  /** Resolves when there may be more. */
  more(): Promise<void>;
  /** How often the webhook was changed, or deleted. */
  readonly changes: number;
}

/**
 * Sends one webhook what is to be sent now, under its lease, and ends when the rest waits for dates or events. Gives the event up to which
 * it has looked. Throws `revision_conflict` when it was changed meanwhile: what was not written down yet is sent again.
 */
export async function sendWhatIsDue(
  { store, history, deliver, log, now, random, count }: SendingOptions,
  id: string,
  lease: KeptLease,
  heard: Heard,
  /** When this process stops, what was taken is written down still. */
  stopping: AbortSignal,
): Promise<string | null> {
  const { changes } = heard;
  const [webhook, record] = await Promise.all([store.get('webhook', id), store.get('webhook-state', id)]);
  if (webhook === null || record === null || webhook.value.disabled !== null) return null;
  const filter = filterOf(webhook.value);
  const subjects = createWaitingSubjects({ state: record.value, now, random });
  const running = new Set<Promise<void>>();
  const known = new Map<string, StoredEvent>();
  let state: StoredRecord<'webhook-state'> = record;
  let { after, gapAt, tries, givenUp } = record.value;
  let passed = 0;
  let atEnd = false;
  /** What is to be written down, and since when. */
  let unwritten: Change[] = [];
  let changed = false;
  let writtenAt = performance.now();
  let disable: string | null = null;
  let failure: unknown = null;

  /** Takes up what comes next in the history, up to a bound. */
  async function takeUp(): Promise<void> {
    for (let pages = 0; pages < pagesAtOnce && !atEnd && subjects.hasRoom(); pages += 1) {
      const page = await history.read({ after, limit: readAtOnce });
      if (page.gap) gapAt = iso(now());
      const wanted = page.items.filter((event) => matches(event, filter));
      for (const event of wanted) if (subjects.add(event)) known.set(event.id, event);
      passed += page.items.length - wanted.length;
      changed ||= wanted.length > 0 || page.gap || passed >= mostPassed;
      after = page.next;
      atEnd = !page.more;
    }
  }

  /** What the history has more of a subject of which more waited than is at hand. */
  async function refill(one: Subject, from: string): Promise<void> {
    const events: string[] = [];
    let place = from;
    for (let more = true; more && events.length < mostOfSubject; ) {
      const page = await history.read({ after: place, limit: readAtOnce });
      for (const event of page.items) {
        if (event.id > after || events.length === mostOfSubject) {
          more = false;
          break;
        }
        place = event.id;
        if (!matches(event, filter) || subjectOf(event) !== one.subject) continue;
        events.push(event.id);
        known.set(event.id, event);
      }
      if (more) place = page.next;
      more &&= page.more;
      if (lease.signal.aborted) return;
    }
    subjects.refill(one, events, events.length === mostOfSubject ? place : null);
    changed = true;
  }

  async function send(one: Subject): Promise<void> {
    const [eventId] = one.events;
    if (eventId === undefined) return one.more === null ? undefined : refill(one, one.more);
    const event = known.get(eventId) ?? (await findEvent(history, eventId));
    if (event === null) {
      gapAt = iso(now());
      subjects.skip(one);
      changed = true;
      return;
    }
    if (!matches(event, filter)) {
      subjects.skip(one); // it was for it when it was taken up, and the webhook is for others by now
      changed = true;
      return;
    }
    lease.check();
    const answer = await deliver(id, webhook!.value, messageOf(event, now()), lease.signal);
    if (lease.signal.aborted) return;
    note(one, event, answer);
    if (one.attempts === 0) known.delete(eventId);
  }

  function note(one: Subject, event: StoredEvent, answer: Answer): void {
    const delivery = deliveryOf(event, answer, one.attempts + 1, now());
    const was = answer.ok ? subjects.taken(one) : subjects.failed(one);
    changed = true;
    if (was === 'giveUp') {
      log.warn({ webhook: id, event: event.id, detail: answer.detail }, 'an event is given up for a webhook');
      unwritten.push(putDelivery(id, 'givenUp', givenUp, { ...delivery, outcome: 'given_up' }));
      givenUp += 1;
      count('given_up');
      return;
    }
    unwritten.push(putDelivery(id, 'tries', tries, delivery));
    tries += 1;
    count(delivery.outcome);
    if (answer.status === 410) disable ??= 'the target answered 410: it is gone';
    else if (was === 'disable')
      disable ??= `it took no event since ${subjects.record().failingSince}: ${answer.detail}`;
  }

  function start(one: Subject): void {
    one.sending = true;
    const done: Promise<void> = send(one)
      .catch((error: unknown) => {
        failure ??= error;
      })
      .finally(() => {
        one.sending = false;
        running.delete(done);
      });
    running.add(done);
  }

  async function write(): Promise<void> {
    const made = unwritten;
    unwritten = [];
    changed = false;
    passed = 0;
    writtenAt = performance.now();
    const value: WebhookStateRecord = { after, ...subjects.record(), gapAt, tries, givenUp };
    const disabling = disable === null ? null : disabled(webhook!, disable, now());
    if (disabling !== null) {
      value.dueAt = null;
      log.warn({ webhook: id, reason: disable }, 'a webhook is disabled');
    }
    const { number } = await commit(store, {
      by: { kind: 'system' },
      lease: lease.current(),
      checks: [
        { kind: 'webhook-state', id, revision: state.revision },
        { kind: 'webhook', id, revision: webhook!.revision },
      ],
      changes: [putState(id, value), ...made, ...(disabling?.changes ?? [])],
      events: disabling?.events ?? [],
    });
    state = { ...state, revision: number };
  }

  /** Until something became of what is on its way, there is more, or something is to be written. */
  async function wait(): Promise<void> {
    const over = new AbortController();
    const tick = delay(writeMs, undefined, { signal: over.signal }).catch(() => {});
    await Promise.race([...running, heard.more(), tick]);
    over.abort();
  }

  try {
    // What was changed or deleted meanwhile is sent nothing more as it was.
    while (disable === null && failure === null && heard.changes === changes && !lease.signal.aborted) {
      if (heard.take()) atEnd = false;
      await takeUp();
      for (let one = subjects.next(); one !== null && running.size < atOnce; one = subjects.next())
        start(one);
      const due = unwritten.length >= mostUnwritten || performance.now() - writtenAt >= writeMs;
      if (changed && (due || running.size === 0)) await write();
      if (running.size > 0) await wait();
      else if (subjects.next() === null && (atEnd || !subjects.hasRoom())) break;
    }
  } finally {
    await Promise.all(running);
  }
  if (changed && (!lease.signal.aborted || stopping.aborted)) await write();
  if (failure !== null) throw failure;
  return after;
}

function disabled(
  { id, value }: StoredRecord<'webhook'>,
  reason: string,
  now: number,
): { changes: Change[]; events: EventDraft[] } {
  const at = iso(now);
  return {
    changes: [putWebhook(id, { ...value, disabled: { at, reason }, updatedAt: at })],
    events: [
      {
        type: 'webhook.disabled',
        subject: { kind: 'webhook', id },
        tenant: value.tenant ?? undefined,
        data: { webhook: id, reason },
      },
    ],
  };
}
