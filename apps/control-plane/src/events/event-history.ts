import { EventEmitter } from 'node:events';
import { type Boundary, createBoundary, type StoredEvent } from '@lockstep/contract';
import type { ConfigStore, EventPage } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ChangeHub } from '../changes/change-hub.ts';
import { createSharedRun } from '../time/shared-run.ts';

/** Of the latest events, for all who follow: they are read once for each control plane. */
const tailEvents = 1_000;
const readAtOnce = 500;

/** The history of events as it grows. */
export interface EventHistory {
  /** As `ConfigStore.readEvents`: what every control plane would answer. */
  readKept(page: { after?: string | null; limit: number }): Promise<EventPage>;
  /** The same for whoever follows: the latest are at hand, also those that are no longer kept. */
  read(page: { after?: string | null; limit: number }): Promise<EventPage>;
  /** Calls `listener` when there may be more: a hint, as what it reads of the store is. */
  watch(listener: () => void): () => void;
  close(): void;
}

export interface EventHistoryOptions {
  store: Pick<ConfigStore, 'readEvents'>;
  hub: Pick<ChangeHub, 'watch'>;
  log: Logger;
  boundary?: Boundary;
}

export function createEventHistory({
  store,
  hub,
  log,
  boundary = createBoundary(log),
}: EventHistoryOptions): EventHistory {
  const emitter = new EventEmitter().setMaxListeners(0);
  /** What came after `from`; null while nobody follows. */
  let tail: { from: string; events: StoredEvent[] } | null = null;

  const endOf = ({ from, events }: NonNullable<typeof tail>) => events.at(-1)?.id ?? from;

  const refresh = createSharedRun(async () => {
    if (emitter.listenerCount('more') === 0) {
      tail = null;
      return;
    }
    let at = tail ?? { from: (await store.readEvents({ limit: 0 })).last, events: [] };
    for (let more = true; more; ) {
      const page = await store.readEvents({ after: endOf(at), limit: readAtOnce });
      if (page.gap) at = { from: page.next, events: [] };
      else at = shortened({ from: at.from, events: [...at.events, ...page.items] });
      tail = at;
      more = page.more;
    }
  });

  function look(): void {
    refresh()
      .catch((error: unknown) => {
        tail = null;
        log.debug({ err: error }, 'cannot read the events; whoever follows them reads them anew');
      })
      .then(() => emitter.emit('more'));
  }

  const unwatch = hub.watch(() => {
    if (emitter.listenerCount('more') > 0) look();
  });

  return {
    readKept: (page) => store.readEvents(page),
    async read({ after = null, limit }) {
      const at = tail === null || after === null ? -1 : placeAfter(tail, after);
      if (tail === null || at === -1 || limit === 0) return store.readEvents({ after, limit });
      const items = tail.events.slice(at, at + limit);
      const last = endOf(tail);
      const next = items.at(-1)?.id ?? last;
      return { items, gap: false, next, more: next !== last, last };
    },
    watch(listener) {
      const safe = boundary.guard('events', listener);
      // What came while nobody followed is in no tail.
      if (emitter.listenerCount('more') === 0) tail = null;
      emitter.on('more', safe);
      if (tail === null) look();
      return () => emitter.off('more', safe);
    },
    close: unwatch,
  };
}

/** Where what came after the id begins; -1: it is not at hand. */
function placeAfter({ from, events }: { from: string; events: StoredEvent[] }, after: string): number {
  if (after === from) return 0;
  // Whoever follows stands near the end.
  const at = events.findLastIndex(({ id }) => id === after);
  return at === -1 ? -1 : at + 1;
}

function shortened({ from, events }: { from: string; events: StoredEvent[] }) {
  const excess = events.length - tailEvents;
  return excess <= 0 ? { from, events } : { from: events[excess - 1]!.id, events: events.slice(excess) };
}
