import {
  type EventDraft,
  eventsOfChange,
  type Kind,
  recordKey,
  type StoredRecord,
  tellsOf,
} from '@lockstep/contract';
import type { Commit, ConfigStore } from '@lockstep/store';

/** Routes of one host that are looked at. */
const mostRoutes = 100;

export type WrittenStore = Pick<ConfigStore, 'commit' | 'getMany' | 'findClaims'>;

/**
 * What callers are told of a write: what its kinds' modules make of its changes, whoever makes them, and what its maker tells besides. The
 * commit checks that what is changed stands as it was read here.
 */
export async function eventsOfWrite(
  store: WrittenStore,
  { changes, checks = [], events = [] }: Pick<Commit, 'changes' | 'checks' | 'events'>,
): Promise<EventDraft[]> {
  const expected = new Map(checks.map(({ kind, id, revision }) => [recordKey(kind, id), revision]));
  const told = changes.filter((change) => tellsOf(change.kind));
  const replaced = told.filter(({ kind, id }) => expected.get(recordKey(kind, id)) !== null);
  const before = await readBefore(store, replaced);
  const drafts = told.flatMap((change) => {
    const { kind, id } = change;
    const value = before.get(recordKey(kind, id)) ?? (expected.get(recordKey(kind, id)) ? {} : null);
    return eventsOfChange(kind, id, value, change.op === 'put' ? change.value : null);
  });
  return await Promise.all([...drafts, ...events].map((draft) => withRoutes(store, draft)));
}

async function readBefore(
  store: WrittenStore,
  changed: readonly { kind: Kind; id: string }[],
): Promise<Map<string, object>> {
  const found = new Map<string, object>();
  for (const kind of new Set(changed.map((one) => one.kind))) {
    const ids = changed.filter((one) => one.kind === kind).map(({ id }) => id);
    for (const record of await store.getMany(kind, ids))
      if (record !== null) found.set(recordKey(kind, record.id), record.value);
  }
  return found;
}

/** A certificate is found by the routes that name its host, and belongs to whoever has all of them. */
export async function withRoutes(store: WrittenStore, draft: EventDraft): Promise<EventDraft> {
  if (draft.subject.kind !== 'certificate' || draft.data.routes !== undefined) return draft;
  const holders = await Promise.all(
    (draft.data.hosts ?? []).map((host) => store.findClaims(`${host} `, mostRoutes)),
  );
  const ids = [...new Set(holders.flat().flatMap(({ kind, id }) => (kind === 'route' ? id : [])))].sort();
  const routes = await store.getMany('route', ids);
  const tenant = tenantOf(routes.filter((route) => route !== null));
  return { ...draft, tenant: draft.tenant ?? tenant, data: { ...draft.data, routes: ids } };
}

function tenantOf(routes: readonly StoredRecord<'route'>[]): string | undefined {
  const tenants = new Set(routes.map(({ value }) => value.tenant));
  return tenants.size === 1 ? [...tenants][0] : undefined;
}
