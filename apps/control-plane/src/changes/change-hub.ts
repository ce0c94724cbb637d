import { EventEmitter } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { type Boundary, createBoundary, type Kind, type LogEntry } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { RecentCommits } from './recent-commits.ts';

const watchedKinds = [
  'route',
  'certificate',
  'order',
  'settings',
  'issuer',
  'canary',
  'rotation',
  'token',
  'attempts',
  'bucket',
  'ownership',
  'webhook',
] as const satisfies readonly Kind[];

export type ChangeListener = (entry: LogEntry | null) => void;

/** Tells, as hints, which commits were made; after a gap, that any record may have changed. Whoever acts on it reads the store. */
export interface ChangeHub {
  /** Calls `listener` with each commit, as far as it changed the kinds that are watched here, or with null when any record may have changed. */
  watch(listener: ChangeListener): () => void;
  close(): Promise<void>;
}

const beginAgainMs = 1_000;

export async function createChangeHub({
  store,
  commits,
  log,
  boundary = createBoundary(log),
}: {
  store: ConfigStore;
  /** Told of each commit before whoever watches is. */
  commits?: Pick<RecentCommits, 'append' | 'begin'>;
  log: Logger;
  boundary?: Boundary;
}): Promise<ChangeHub> {
  const emitter = new EventEmitter().setMaxListeners(0);
  const stop = new AbortController();
  let from = await store.head();
  commits?.begin(from);
  const onTrouble = (error: Error | null) => {
    if (error === null) log.info('following the store again');
    else log.warn({ err: error }, 'cannot follow the store; trying on');
  };

  async function follow(): Promise<void> {
    for await (const event of store.follow(from, { kinds: watchedKinds, signal: stop.signal, onTrouble })) {
      if (event.type === 'snapshot') {
        commits?.begin(event.position);
        for await (const _records of event.records); // read by whoever is told; following goes on after the last
        from = event.position;
        emitter.emit('change', null);
      }
      if (event.type !== 'commit') continue;
      commits?.append(event.entry);
      from = event.entry.position;
      emitter.emit('change', event.entry);
    }
  }

  /** A hub that stopped would leave the process up, and deaf to what others write. */
  async function run(): Promise<void> {
    while (!stop.signal.aborted) {
      await follow().catch((error: unknown) => boundary.note('changes', error));
      if (stop.signal.aborted) return;
      await setTimeout(beginAgainMs, undefined, { signal: stop.signal }).catch(() => {});
      emitter.emit('change', null);
    }
  }
  const ended = run();

  return {
    watch(listener) {
      const safe = boundary.guard('change', listener);
      emitter.on('change', safe);
      return () => emitter.off('change', safe);
    },
    async close() {
      stop.abort();
      await ended;
    },
  };
}
