import type { Boundary, StoredRecord, WebhookRecord, WebhookStateRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { ChangeHub } from '../changes/change-hub.ts';
import { everyPage } from '../changes/every-page.ts';
import { isInterruption } from '../changes/kept-lease.ts';
import { matches } from '../events/event-filter.ts';
import type { EventHistory } from '../events/event-history.ts';
import { createSharedRun } from '../time/shared-run.ts';
import { filterOf } from './webhook-record.ts';

const readAtOnce = 500;
/** A webhook for which so many in a row were nothing is moved on, lest they be gone before it has passed them. */
const mostPassed = 1_000;

/** How webhooks stand, all together. */
export interface WebhooksStanding {
  well: number;
  failing: number;
  disabled: number;
  /** Routes, certificates, nodes… that wait for another try. */
  waitingSubjects: number;
  /** Since when the one that waits longest was tried in vain; null: none waits. */
  oldestFailure: number | null;
}

export interface ArrivalsOptions {
  store: Pick<ConfigStore, 'list' | 'getMany'>;
  hub: Pick<ChangeHub, 'watch'>;
  history: EventHistory;
  boundary: Boundary;
  lookMs: number;
  /** It was changed, or deleted. */
  changed(id: string): void;
  /** There may be something for it. */
  take(state: StoredRecord<'webhook-state'>): void;
}

export interface Arrivals {
  standing: WebhooksStanding;
  /** It was looked at what is for this webhook, up to this event. */
  looked(id: string, event: string): void;
  /** Null: nobody's. */
  tenantOf(id: string): string | null;
  close(): void;
}

/** Knows for which webhooks there is something, by one reading of the history for all. What waits for a date is none of its concern. */
export function createArrivals({
  store,
  hub,
  history,
  boundary,
  lookMs,
  changed,
  take,
}: ArrivalsOptions): Arrivals {
  const standing: WebhooksStanding = {
    well: 0,
    failing: 0,
    disabled: 0,
    waitingSubjects: 0,
    oldestFailure: null,
  };
  let webhooks = new Map<string, StoredRecord<'webhook'>>();
  let stale = true;
  /** Ends the watch of the history; null while there are no webhooks, and it need not be read. */
  let unwatch: (() => void) | null = null;
  let closed = false;
  /** Where the reading began, and its end; null: it did not begin. And how many events that were. */
  let began: string | null = null;
  let seen: string | null = null;
  let read = 0;
  /** By webhook: the latest event that is for it, the one up to which it was looked at, and how many had been read then. */
  const latest = new Map<string, string>();
  const lookedAt = new Map<string, { event: string; read: number }>();

  /** Tells which are new, or other than they were. */
  async function readWebhooks(): Promise<string[]> {
    if (!stale) return [];
    stale = false;
    const found = new Map((await all(store, 'webhook')).map((webhook) => [webhook.id, webhook]));
    const news = [...found.values()].filter(({ id, revision }) => webhooks.get(id)?.revision !== revision);
    for (const map of [latest, lookedAt]) for (const id of map.keys()) if (!found.has(id)) map.delete(id);
    webhooks = found;
    return news.map(({ id }) => id);
  }

  /** One that comes begins where it was made (its `after`), wherever the reading begins. */
  function followHistory(wanted: boolean): void {
    if (wanted === (unwatch !== null) || closed) return;
    unwatch?.();
    unwatch = wanted ? history.watch(hearLater) : null;
    began = null;
    seen = null;
  }

  /** Which webhooks the events are for that came since. */
  async function readEvents(): Promise<Set<string>> {
    const concerned = new Set<string>();
    for (let more = true; more; ) {
      const page = await history.read(seen === null ? { limit: 0 } : { after: seen, limit: readAtOnce });
      const enabled = [...webhooks.values()].filter(({ value }) => value.disabled === null);
      if (page.gap) for (const { id } of enabled) concerned.add(id);
      // Each tenant may have webhooks: an event is held against those alone that may be for it.
      const byTenant = Map.groupBy(enabled, ({ value }) => value.tenant);
      for (const event of page.items)
        for (const tenant of event.tenant === undefined ? [null] : [null, event.tenant])
          for (const { id, value } of byTenant.get(tenant) ?? []) {
            if (!matches(event, filterOf(value))) continue;
            latest.set(id, event.id);
            concerned.add(id);
          }
      read += page.items.length;
      more = page.more;
      seen = seen === null ? page.last : page.next;
      began ??= seen;
    }
    for (const { id } of webhooks.values())
      if (read - (lookedAt.get(id)?.read ?? 0) >= mostPassed) concerned.add(id);
    return concerned;
  }

  async function takeNews(): Promise<void> {
    const news = await readWebhooks();
    followHistory(webhooks.size > 0);
    if (webhooks.size === 0) return;
    const concerned = await readEvents();
    for (const id of news) {
      concerned.add(id);
      latest.set(id, seen ?? '');
    }
    const ids = [...concerned].filter((id) => webhooks.get(id)?.value.disabled === null);
    for (const state of await store.getMany('webhook-state', ids)) if (state !== null) take(state);
  }

  const hear = createSharedRun(async () => {
    try {
      await takeNews();
    } catch (error) {
      webhooks = new Map(); // all of them are news then
      stale = true;
      if (!isInterruption(error)) throw error;
    }
  });

  /** What no hint told of, and what another took up and did not end. */
  const look = createSharedRun(async () => {
    stale = true;
    await hear();
    if (stale) return;
    const states = webhooks.size === 0 ? [] : await all(store, 'webhook-state');
    Object.assign(standing, standingOf(webhooks, states));
    for (const state of states) {
      const { id, value } = state;
      if (webhooks.get(id)?.value.disabled !== null) continue;
      const upTo = latest.get(id) ?? began ?? '';
      if (value.after < upTo && (lookedAt.get(id)?.event ?? '') < upTo) take(state);
    }
  });

  const lookLater = boundary.guard('webhooks', look);
  const hearLater = boundary.guard('webhooks', hear);
  const unwatchHub = hub.watch((entry) => {
    const concerned = entry?.changes.filter(({ kind }) => kind === 'webhook');
    if (concerned?.length === 0) return;
    for (const { id } of concerned ?? []) changed(id);
    stale = true;
    hearLater();
  });
  const timer = setInterval(lookLater, lookMs);
  lookLater();

  return {
    standing,
    looked(id, event) {
      lookedAt.set(id, { event, read });
    },
    tenantOf: (id) => webhooks.get(id)?.value.tenant ?? null,
    close() {
      closed = true;
      unwatch?.();
      unwatchHub();
      clearInterval(timer);
    },
  };
}

async function all<K extends 'webhook' | 'webhook-state'>(
  store: Pick<ConfigStore, 'list'>,
  kind: K,
): Promise<StoredRecord<K>[]> {
  return (await Array.fromAsync(everyPage(store, kind))).flat();
}

function standingOf(
  webhooks: ReadonlyMap<string, { value: WebhookRecord }>,
  states: readonly { id: string; value: WebhookStateRecord }[],
): WebhooksStanding {
  const enabled = states.filter(({ id }) => webhooks.get(id)?.value.disabled === null);
  const failing = enabled.filter(({ value }) => value.failingSince !== null).length;
  const waiting = enabled.flatMap(({ value }) => value.subjects.filter(({ attempts }) => attempts > 0));
  const since = waiting.flatMap(({ failingSince }) =>
    failingSince === null ? [] : Date.parse(failingSince),
  );
  return {
    well: enabled.length - failing,
    failing,
    disabled: webhooks.size - enabled.length,
    waitingSubjects: waiting.length,
    oldestFailure: since.length === 0 ? null : Math.min(...since),
  };
}
