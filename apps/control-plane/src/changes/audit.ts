import type { AuditEntry, AuditQuery, JournalEntry, Principal } from '@lockstep/contract';
import type { ConfigStore, Page } from '@lockstep/store';
import { iso } from '../time/iso.ts';

/** Who changed what, the latest first, from the journal. */
export interface Audit {
  /**
   * A page looks through some thousand entries at the most, so it may have fewer than `limit`, or none, and a next one all the same. With
   * `of`, for a tenant: of whoever did it no name that is not of the tenant.
   */
  page(query: AuditQuery, of: string | null): Promise<Page<AuditEntry>>;
}

const mostLooked = 5_000;
const readAtOnce = 500;

export function createAudit(store: Pick<ConfigStore, 'readJournal'>): Audit {
  return {
    async page({ limit, cursor, ...filter }, of) {
      const items: AuditEntry[] = [];
      const { tenant } = filter;
      const since = filter.since === undefined ? Number.NEGATIVE_INFINITY : Date.parse(filter.since);
      const asksForAll = tenant === undefined && Object.values(filter).every((value) => value === undefined);
      const count = asksForAll ? limit : readAtOnce;
      let from = cursor;
      for (let looked = 0; looked < mostLooked; looked += count) {
        const read = await store.readJournal({ limit: count, cursor: from });
        for (const [index, entry] of read.items.entries()) {
          if (entry.at < since) return { items, next: null };
          if (items.length === limit) {
            const shown = await store.readJournal({ limit: index, cursor: from });
            return { items, next: shown.next };
          }
          const part = tenant === undefined ? entry : partOf(entry, tenant);
          if (part !== null && isAsked(part, filter)) items.push(present(part, of));
        }
        if (read.next === null || items.length === limit) return { items, next: read.next };
        from = read.next;
      }
      return { items, next: from ?? null };
    },
  };
}

function isAsked(
  { at, kind, id, by }: JournalEntry,
  filter: Pick<AuditQuery, 'principal' | 'kind' | 'id' | 'until'>,
): boolean {
  return (
    (filter.kind === undefined || filter.kind === kind) &&
    (filter.id === undefined || filter.id === id) &&
    (filter.until === undefined || at <= Date.parse(filter.until)) &&
    (filter.principal === undefined || isCalled(by, filter.principal))
  );
}

function isCalled(by: Principal, name: string): boolean {
  return by.kind === 'token' ? by.name === name || by.id === name : by.kind === name;
}

/** As much of it as concerns a tenant; null where nothing does. What became another's is gone for it, and the other way round. */
function partOf(entry: JournalEntry, tenant: string): JournalEntry | null {
  const before = entry.before?.tenant === tenant ? entry.before : null;
  const after = entry.after?.tenant === tenant ? entry.after : null;
  return before === null && after === null ? null : { ...entry, before, after };
}

function present(entry: JournalEntry, of: string | null): AuditEntry {
  const { at, by, requestId, position, cause, kind, id, before, after } = entry;
  const known = by.kind !== 'token' || of === null || by.tenant === of;
  return {
    at: iso(at),
    by: {
      kind: by.kind,
      name: by.kind === 'token' && known ? by.name : null,
      id: by.kind === 'token' && known ? (by.id ?? null) : null,
    },
    requestId: known ? requestId : null,
    revision: position.number,
    cause,
    kind,
    id,
    action: after === null ? 'deleted' : before === null ? 'created' : 'updated',
    before,
    after,
  };
}
