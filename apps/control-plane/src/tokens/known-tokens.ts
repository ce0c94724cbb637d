import { setTimeout as delay } from 'node:timers/promises';
import {
  type LoggedChange,
  recordFault,
  revisionOfUnreadable,
  type StoredRecord,
  type TokenRecord,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { Access } from '../auth/access.ts';
import type { ChangeHub } from '../changes/change-hub.ts';
import { everyPage } from '../changes/every-page.ts';
import { createSharedRun } from '../time/shared-run.ts';
import { idOfToken, isTokenOf } from './token-text.ts';

const retryMs = 2_000;

/**
 * The tokens of the store, as they were heard of last: none has to be read for a request, and without the store those that are known hold
 * on. One that is not known is looked for in the store, so that it holds at every control plane as soon as it was made.
 */
export interface KnownTokens {
  /** Null where there is no such token. Throws `store_unavailable` where that cannot be told. */
  find(text: string): Promise<Access | null>;
  has(id: string): boolean;
  /** From now on there is none of this id, whatever is heard of it yet. */
  forget(id: string): void;
  close(): Promise<void>;
}

export interface KnownTokensOptions {
  store: Pick<ConfigStore, 'get' | 'list'>;
  hub: Pick<ChangeHub, 'watch'>;
  log: Logger;
}

interface Known {
  hash: string;
  access: Access;
}

/** Throws `store_unavailable` where they cannot be read at the start. */
export async function createKnownTokens({ store, hub, log }: KnownTokensOptions): Promise<KnownTokens> {
  const stop = new AbortController();
  const gone = new Set<string>();
  let known = new Map<string, Known>();
  /** Those that come while all are read: what was read may be older. */
  let meanwhile: Map<string, Known> | null = null;

  function take({ kind, id, value }: StoredRecord<'token'>): void {
    // One with something that is not known here might be for less than it seems to be.
    if (gone.has(id) || recordFault({ kind, id, revision: 0, value }) !== null) return;
    const one = { hash: value.hash, access: accessOf(id, value) };
    known.set(id, one);
    meanwhile?.set(id, one);
  }

  function forget(id: string): void {
    gone.add(id); // no id comes twice
    known.delete(id);
    meanwhile?.delete(id);
  }

  function hear(change: LoggedChange): void {
    if (change.kind !== 'token') return;
    if (change.op === 'delete') forget(change.id);
    else take({ ...change, revision: 0 });
  }

  const load = createSharedRun(async () => {
    meanwhile = new Map();
    const read = new Map<string, Known>();
    try {
      for await (const page of everyPage(store, 'token'))
        for (const record of page)
          if (recordFault(record) === null)
            read.set(record.id, { hash: record.value.hash, access: accessOf(record.id, record.value) });
      for (const id of gone) read.delete(id);
      known = new Map([...read, ...meanwhile]);
    } finally {
      meanwhile = null;
    }
  });

  /** In the history that the store has now, what was revoked may be there again. */
  async function loadAnew(): Promise<void> {
    gone.clear();
    while (!stop.signal.aborted) {
      try {
        return await load();
      } catch (error) {
        log.warn({ err: error }, 'cannot read the tokens; keeping those known');
        await delay(retryMs, undefined, { signal: stop.signal }).catch(() => {});
      }
    }
  }

  let loading = Promise.resolve();
  const unwatch = hub.watch((entry) => {
    if (entry === null) loading = loading.then(loadAnew);
    else for (const change of entry.changes) hear(change);
  });
  try {
    await load();
  } catch (error) {
    unwatch();
    throw error;
  }

  return {
    async find(text) {
      const id = idOfToken(text);
      if (id === null) return null;
      if (!known.has(id) && !gone.has(id)) {
        const record = await store.get('token', id).catch(nullIfUnreadable);
        if (record !== null) take(record);
      }
      const found = known.get(id);
      return found !== undefined && isTokenOf(text, found.hash) ? found.access : null;
    },
    has: (id) => known.has(id),
    forget,
    async close() {
      stop.abort();
      unwatch();
      await loading;
    },
  };
}

function nullIfUnreadable(error: unknown): null {
  if (revisionOfUnreadable(error) === undefined) throw error;
  return null;
}

function accessOf(
  id: string,
  { name, scopes, tenant, hostSuffixes, ownership, rateLimit, expiresAt }: TokenRecord,
): Access {
  return {
    principal: { kind: 'token', name, id, ...(tenant === null ? {} : { tenant }) },
    scopes,
    tenant,
    hostSuffixes,
    ...(ownership === null ? {} : { ownership }),
    ...(rateLimit === null ? {} : { rateLimit }),
    expiresAt: expiresAt === null ? null : Date.parse(expiresAt),
  };
}
