import type { Kind, StoredRecord } from '@lockstep/contract';
import type { ConfigStore, Page, PageRequest } from '@lockstep/store';

const claimsAtOnce = 1_000;

type Holder = Awaited<ReturnType<ConfigStore['findClaims']>>[number];

/** All who hold a claim that begins so, however many. */
export async function allHolders(store: Pick<ConfigStore, 'findClaims'>, prefix: string): Promise<Holder[]> {
  const all: Holder[] = [];
  for (let after: string | undefined; ; ) {
    const holders = await store.findClaims(prefix, claimsAtOnce, after);
    if (holders.length === 0) return all; // a page may be short: a claim can go while it is read
    all.push(...holders);
    after = holders.at(-1)?.claim;
  }
}

/** A page, by id, of the records whose claims are `prefix` and their id. */
export async function pageByClaims<K extends Kind>(
  store: Pick<ConfigStore, 'findClaims' | 'getMany'>,
  { kind, prefix }: { kind: K; prefix: string },
  { limit, cursor }: PageRequest,
): Promise<Page<StoredRecord<K>>> {
  const after = cursor === undefined ? undefined : prefix + cursor;
  const holders = await store.findClaims(prefix, limit + 1, after);
  const ids = holders.slice(0, limit).map(({ id }) => id);
  const items = (await store.getMany(kind, ids)).filter((record) => record !== null);
  return { items, next: holders.length > limit ? (ids.at(-1) ?? null) : null };
}
