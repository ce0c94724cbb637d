import { type Kind, kinds, recordKey, type StoredRecord } from '@lockstep/contract';

export interface SealedValue {
  kind: Kind;
  id: string;
  sealed: string;
  /** What it was sealed for. */
  context: string;
}

interface Listed {
  list(
    kind: Kind,
    page: { limit: number; cursor?: string | undefined },
  ): Promise<{ items: StoredRecord[]; next: string | null }>;
}

/** Every sealed value in the store's records of these kinds, wherever in a record it is. */
export async function readSealed(store: Listed, wanted: readonly Kind[] = kinds): Promise<SealedValue[]> {
  const found: SealedValue[] = [];
  for (const kind of wanted) {
    for (let cursor: string | undefined; ; ) {
      const page = await store.list(kind, { limit: 200, cursor });
      for (const { id, value } of page.items) {
        const context = kind.endsWith('canary') ? 'canary' : recordKey(kind, id);
        for (const [sealed] of JSON.stringify(value).matchAll(/v1\.[a-z-]+\.[0-9a-f]{8}\.[\w-]+/g))
          found.push({ kind, id, sealed, context });
      }
      if (page.next === null) break;
      cursor = page.next;
    }
  }
  return found;
}
