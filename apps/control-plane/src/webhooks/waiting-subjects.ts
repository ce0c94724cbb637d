import type { StoredEvent, WaitingSubject, WebhookStateRecord } from '@lockstep/contract';
import { iso } from '../time/iso.ts';
import { patienceMs, retryAfterMs } from './retry-times.ts';

/** Of one subject so many are at hand; more of it are read again from the history when their turn comes. */
export const mostOfSubject = 10;
/** So many subjects wait for another try; while they do, nothing more is taken up. */
const mostFailing = 200;
/** So many events are at hand that were not tried yet. */
const mostReady = 100;

export interface Subject extends Omit<WaitingSubject, 'dueAt'> {
  dueAt: number | null;
  /** Its first event is on its way. */
  sending: boolean;
}

/** What became of an event: `wait`: it is tried again; `giveUp`: its subject goes on behind it; `disable`: nothing was taken for too long. */
export type Failure = 'wait' | 'giveUp' | 'disable';

/**
 * The subjects of a webhook that have something to be sent, each a queue of its own: one whose event is refused waits by itself. What it
 * holds is bounded, however much is to be sent.
 */
export interface WaitingSubjects {
  /** Puts an event behind those of its subject. False: it is read from the history again when its turn comes. */
  add(event: StoredEvent): boolean;
  /** Whether more of the history may be taken up. */
  hasRoom(): boolean;
  /** One whose turn it is. */
  next(): Subject | null;
  taken(one: Subject): void;
  failed(one: Subject): Failure;
  /** Its first event is not kept any more. */
  skip(one: Subject): void;
  /** What the history had more of it; `more`: the last of them, where there is yet more behind. */
  refill(one: Subject, events: readonly string[], more: string | null): void;
  /** As it is written down; what is on its way counts as not sent. */
  record(): Pick<WebhookStateRecord, 'subjects' | 'failingSince' | 'takenAt' | 'dueAt'>;
}

export interface WaitingSubjectsOptions {
  state: Pick<WebhookStateRecord, 'subjects' | 'failingSince' | 'takenAt'>;
  now: () => number;
  random: () => number;
}

export function createWaitingSubjects({ state, now, random }: WaitingSubjectsOptions): WaitingSubjects {
  let { failingSince, takenAt } = state;
  const all = new Map<string, Subject>(
    state.subjects.map((one) => [
      one.subject,
      {
        ...one,
        events: [...one.events],
        dueAt: one.dueAt === null ? null : Date.parse(one.dueAt),
        sending: false,
      },
    ]),
  );

  function goOn(one: Subject): void {
    Object.assign(one, asNew(one, one.events.slice(1)));
    if (one.events.length === 0 && one.more === null) all.delete(one.subject);
  }

  return {
    add(event) {
      const subject = subjectOf(event);
      const known = all.get(subject);
      if (known === undefined) {
        all.set(subject, { ...newSubject(subject, event.id), dueAt: null, sending: false });
        return true;
      }
      if (known.more !== null) return false;
      if (known.events.length < mostOfSubject) {
        known.events.push(event.id);
        return true;
      }
      known.more = known.events.at(-1) ?? null;
      return false;
    },

    hasRoom() {
      let failing = 0;
      let ready = 0;
      for (const { attempts, events } of all.values()) {
        if (attempts > 0) failing += 1;
        else ready += events.length;
      }
      return failing < mostFailing && ready < mostReady;
    },

    next() {
      const at = now();
      for (const one of all.values()) if (!one.sending && (one.dueAt === null || one.dueAt <= at)) return one;
      return null;
    },

    taken(one) {
      takenAt = iso(now());
      failingSince = null;
      goOn(one);
      // It was the target that was away, and not they that it refuses: they need not wait for their dates.
      for (const other of all.values()) {
        if (!other.withAll) continue;
        other.withAll = false;
        other.dueAt = null;
      }
    },

    failed(one) {
      const at = now();
      one.withAll ||= one.attempts === 0;
      one.attempts += 1;
      one.failingSince ??= iso(at);
      failingSince ??= iso(at);
      const waitMs = retryAfterMs[one.attempts - 1];
      if (waitMs !== undefined) {
        one.dueAt = at + Math.round(waitMs * (1 + random() / 10));
        return 'wait';
      }
      if (at - Date.parse(failingSince) >= patienceMs) return 'disable';
      goOn(one);
      return 'giveUp';
    },

    skip: goOn,

    refill(one, events, more) {
      one.events.push(...events);
      one.more = more;
      if (one.events.length === 0 && more === null) all.delete(one.subject);
    },

    record() {
      const subjects = [...all.values()].map(({ sending: _, dueAt, ...one }) => ({
        ...one,
        events: [...one.events],
        dueAt: dueAt === null ? null : iso(dueAt),
      }));
      return { subjects, failingSince, takenAt, dueAt: earliest(subjects, now()) };
    },
  };
}

/** When the first of them is tried; null: none waits. */
export function earliest(subjects: readonly WaitingSubject[], now: number): string | null {
  if (subjects.length === 0) return null;
  return iso(Math.min(...subjects.map(({ dueAt }) => (dueAt === null ? now : Date.parse(dueAt)))));
}

/**
 * Whose turns an event takes: those of its route, also where a certificate is told of that this route alone has; else those of what it
 * is about.
 */
export function subjectOf({
  subject: { kind, id },
  data: { routes },
}: Pick<StoredEvent, 'subject' | 'data'>): string {
  const [route] = routes ?? [];
  return kind === 'certificate' && routes?.length === 1 ? `route/${route}` : `${kind}/${id}`;
}

export function newSubject(subject: string, ...events: string[]): WaitingSubject {
  return { subject, events, more: null, attempts: 0, failingSince: null, dueAt: null, withAll: false };
}

/** The subject with these events at hand, none of them tried. */
export function asNew(
  { subject, more, ...one }: Pick<WaitingSubject, 'subject' | 'events' | 'more'>,
  events: readonly string[] = one.events,
): WaitingSubject {
  return { ...newSubject(subject, ...events), more };
}
