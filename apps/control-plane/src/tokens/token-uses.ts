import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import { commitUnlessChanged } from '../changes/writes.ts';
import { iso } from '../time/iso.ts';
import type { KnownTokens } from './known-tokens.ts';

const intervalMs = 60_000;
const mostInOneCommit = 200;

/** Writes down when tokens were used last: once a minute, those of the minute together, and never while a request waits for it. */
export interface TokenUses {
  note(id: string): void;
  /** Writes now what was noted. */
  write(): Promise<void>;
  close(): void;
}

export interface TokenUsesOptions {
  store: Pick<ConfigStore, 'commit' | 'getMany' | 'findClaims'>;
  tokens: Pick<KnownTokens, 'has'>;
  log: Logger;
  now?: () => number;
}

export function createTokenUses({ store, tokens, log, now = Date.now }: TokenUsesOptions): TokenUses {
  const used = new Map<string, number>();

  async function write(): Promise<void> {
    const noted = [...used].filter(([id]) => tokens.has(id));
    used.clear();
    for (let from = 0; from < noted.length; from += mostInOneCommit)
      await writeSome(noted.slice(from, from + mostInOneCommit));
  }

  /** Of tokens that are there: what was revoked meanwhile fails the commit, and the others are written with the next use. */
  async function writeSome(some: [string, number][]): Promise<void> {
    const ids = some.map(([id]) => id);
    const [records, uses] = await Promise.all([store.getMany('token', ids), store.getMany('token-use', ids)]);
    const fresh = some.flatMap(([id, at], index) => {
      const [record, use] = [records[index], uses[index]];
      const newer = use == null || Date.parse(use.value.lastUsedAt) < at;
      return record != null && newer ? [{ id, at, revision: record.revision }] : [];
    });
    if (fresh.length === 0) return;
    await commitUnlessChanged(store, {
      by: { kind: 'system' },
      checks: fresh.map(({ id, revision }) => ({ kind: 'token', id, revision })),
      changes: fresh.map(({ id, at }) => ({
        op: 'put',
        kind: 'token-use',
        id,
        value: { lastUsedAt: iso(at) },
      })),
    });
  }

  const timer = setInterval(() => {
    write().catch((error: unknown) => log.debug({ err: error }, 'cannot write when tokens were used'));
  }, intervalMs).unref();

  return {
    note: (id) => void used.set(id, now()),
    write,
    close: () => clearInterval(timer),
  };
}
