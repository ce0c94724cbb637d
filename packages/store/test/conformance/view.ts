import type { FollowEvent, Kind, LogEntry, Position, StoredRecord } from '@lockstep/contract';
import { kinds, recordKey } from '@lockstep/contract';
import type { ConfigStore, Page } from '@lockstep/store';
import type { Test } from 'tap';

interface Held {
  revision: number;
  value: unknown;
}

/** A follower that builds its own copy, by the rules of `FollowEvent`, and checks that nothing is missed or repeated. */
export function followView(
  t: Test,
  follow: ConfigStore['follow'],
  from: Position | null,
  {
    followed = kinds as readonly Kind[],
    slow,
  }: { followed?: readonly Kind[]; slow?: () => Promise<void> } = {},
) {
  const stop = new AbortController();
  let records = new Map<string, Held>();
  let at = from;
  const seen: FollowEvent['type'][] = [];
  const troubles: (Error | null)[] = [];
  const waiting = new Set<() => void>();
  const running = run();
  t.teardown(close);

  async function run(): Promise<void> {
    const onTrouble = (error: Error | null) => {
      troubles.push(error);
      wake();
    };
    for await (const event of follow(from, { kinds: followed, signal: stop.signal, onTrouble })) {
      if (event.type === 'snapshot') {
        if (await takeSnapshot(event)) at = event.position;
      } else if (event.type === 'commit') {
        apply(event.entry);
      } else {
        if (event.position.commitId !== at?.commitId) throw new Error('current is not where the view is');
      }
      seen.push(event.type);
      wake();
      await slow?.();
    }
  }

  async function takeSnapshot(event: Extract<FollowEvent, { type: 'snapshot' }>): Promise<boolean> {
    const fresh = new Map<string, Held>();
    try {
      for await (const batch of event.records) {
        for (const { kind, id, revision, value } of batch)
          fresh.set(recordKey(kind, id), { revision, value });
      }
    } catch {
      return false; // the next event is another snapshot
    }
    records = fresh;
    return true;
  }

  function apply({ position, previousCommitId, changes }: LogEntry): void {
    if (position.number !== at!.number + 1)
      throw new Error(`revision ${position.number} after ${at!.number}`);
    if ((previousCommitId ?? '') !== at!.commitId)
      throw new Error('a commit does not continue the one before');
    at = position;
    for (const change of changes) {
      const key = recordKey(change.kind, change.id);
      if ((records.get(key)?.revision ?? -1) >= position.number) continue;
      if (change.op === 'delete') records.delete(key);
      else records.set(key, { revision: position.number, value: change.value });
    }
  }

  function wake(): void {
    for (const check of waiting) check();
  }

  async function until(condition: () => boolean): Promise<void> {
    const reached = Promise.withResolvers<void>();
    const check = () => condition() && reached.resolve();
    waiting.add(check);
    check();
    await Promise.race([reached.promise, running]);
    waiting.delete(check);
  }

  async function close(): Promise<void> {
    stop.abort();
    await running;
  }

  return {
    seen,
    troubles,
    get position() {
      return at;
    },
    get records() {
      return Object.fromEntries([...records].sort(([one], [other]) => (one < other ? -1 : 1)));
    },
    ids: () => [...records.keys()].sort(),
    until,
    reached: (position: Position) =>
      until(() => at?.number === position.number && at.commitId === position.commitId),
    close,
  };
}

/** All records of the store, or those of some kinds, as `followView` holds them. */
export async function contentOf(
  store: ConfigStore,
  wanted: readonly Kind[] = kinds,
): Promise<Record<string, Held>> {
  const content: Record<string, Held> = {};
  for (const kind of wanted) {
    let cursor: string | null = '';
    while (cursor !== null) {
      const page: Page<StoredRecord> = await store.list<Kind>(kind, { limit: 100, cursor });
      for (const { id, revision, value } of page.items) content[recordKey(kind, id)] = { revision, value };
      cursor = page.next;
    }
  }
  return Object.fromEntries(Object.entries(content).sort(([one], [other]) => (one < other ? -1 : 1)));
}
