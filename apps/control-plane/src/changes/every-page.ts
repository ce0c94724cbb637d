import type { Kind, StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';

/** All records of a kind, by id, a page at a time; `from`: those behind it. What changes meanwhile may be met as it was or as it is. */
export async function* everyPage<K extends Kind>(
  store: Pick<ConfigStore, 'list'>,
  kind: K,
  { limit = 1_000, from = '' }: { limit?: number; from?: string } = {},
): AsyncGenerator<StoredRecord<K>[], void> {
  for (let cursor: string | null = from; cursor !== null; ) {
    const page: Awaited<ReturnType<typeof store.list<K>>> = await store.list(kind, { limit, cursor });
    yield page.items;
    cursor = page.next;
  }
}
