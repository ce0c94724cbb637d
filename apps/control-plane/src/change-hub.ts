import { EventEmitter, once } from 'node:events';
import { type Kind, type LoggedChange, recordKey } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { RecentCommits } from './fleet/recent-commits.ts';

const watchedKinds = [
  'route',
  'certificate',
  'order',
  'settings',
  'issuer',
] as const satisfies readonly Kind[];

export type ChangeListener = (key: string | null, change?: LoggedChange) => void;

/** Tells, as hints, which records changed; after a gap, that any may have. Whoever acts on it reads the store. */
export interface ChangeHub {
  /** Calls `listener` with the changed record's key and what it became, or with null when any record may have changed. */
  watch(listener: ChangeListener): () => void;
  close(): Promise<void>;
}

export async function createChangeHub({
  store,
  commits,
  log,
}: {
  store: ConfigStore;
  /** Told of each commit before whoever watches is. */
  commits?: Pick<RecentCommits, 'append' | 'begin'>;
  log: Logger;
}): Promise<ChangeHub> {
  const emitter = new EventEmitter().setMaxListeners(0);
  const stop = new AbortController();
  const from = await store.head();
  commits?.begin(from);
  const onTrouble = (error: Error | null) => {
    if (error === null) log.info('following the store again');
    else log.warn({ err: error }, 'cannot follow the store; trying on');
  };

  async function run(): Promise<void> {
    for await (const event of store.follow(from, { kinds: watchedKinds, signal: stop.signal, onTrouble })) {
      if (event.type === 'snapshot') {
        commits?.begin(event.position);
        for await (const _records of event.records); // read by whoever is told; following goes on after the last
        emitter.emit('change', null);
      }
      if (event.type !== 'commit') continue;
      commits?.append(event.entry);
      for (const change of event.entry.changes)
        emitter.emit('change', recordKey(change.kind, change.id), change);
    }
  }
  const ended = run()
    .catch((error: unknown) => log.error({ err: error }, 'the change hub stopped'))
    .then(() => emitter.emit('ended'));

  return {
    watch(listener) {
      emitter.on('change', listener);
      return () => emitter.off('change', listener);
    },
    async close() {
      const done = Promise.race([ended, once(emitter, 'ended')]);
      stop.abort();
      await done;
    },
  };
}
