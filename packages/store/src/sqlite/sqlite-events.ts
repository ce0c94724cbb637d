import { defaultEventBounds, type EventBounds, eventId, type Position } from '@lockstep/contract';
import type { ConfigStore, EventPage } from '../interface/config-store.ts';
import { toEventPage } from '../rules/event-page.ts';
import type { Sql } from './statements.ts';

/** Of an id, without the epoch. */
const placeLength = eventId('', 0, 0).length;

export interface SqliteEvents {
  /** Inside the commit's transaction. */
  write(events: readonly string[], position: Position): void;
  read(page: Parameters<ConfigStore['readEvents']>[0]): EventPage;
  bound(bounds: EventBounds): void;
}

export function createSqliteEvents(sql: Sql, now: () => number): SqliteEvents {
  let bounds = defaultEventBounds;

  const last = () => String(sql("SELECT value FROM meta WHERE key = 'lastEvent'").get()?.value ?? '');

  return {
    write(events, { epoch, number }) {
      if (events.length === 0) return;
      const at = now();
      let previous = last();
      for (const [index, event] of events.entries()) {
        const id = eventId(epoch, number, index);
        sql('INSERT INTO events (id, at, previous, event) VALUES (?, ?, ?, ?)').run(id, at, previous, event);
        previous = id;
      }
      sql("INSERT OR REPLACE INTO meta (key, value) VALUES ('lastEvent', ?)").run(previous);
      const { seq } = sql('SELECT MAX(seq) AS seq FROM events').get() ?? {};
      sql('DELETE FROM events WHERE seq <= ?').run(Number(seq) - bounds.entries);
      // In their order, dates go up: the first that is young enough ends what is old.
      sql('DELETE FROM events WHERE seq < (SELECT seq FROM events WHERE at >= ? ORDER BY seq LIMIT 1)').run(
        at - bounds.ageMs,
      );
    },

    read({ after = null, limit }) {
      // Another history's event under the same number is past as well.
      const from = after === null || after === '' ? '' : `${after.slice(0, placeLength)}~`;
      // Ids go up with the history. By seq, each read would look at all that are kept before it.
      const rows = sql('SELECT * FROM events WHERE id > ? ORDER BY id LIMIT ?').all(from, limit);
      const kept = rows.map(({ id, at, previous, event }) => ({
        id: String(id),
        at: Number(at),
        previous: String(previous),
        json: String(event),
      }));
      return toEventPage({ kept, last: last(), after, limit, now: now(), bounds });
    },

    bound(wanted) {
      bounds = wanted;
    },
  };
}
