import { EventEmitter } from 'node:events';
import { hasReached, type NodePresence, type Revision } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';

/** A node this far behind a challenge's revision no longer holds up the orders of the fleet. */
export const challengePatienceMs = 15_000;
const refreshIntervalMs = 2_000;

/** The nodes as the store last told. Kept current by reports as they come, and read anew every 2 s. */
export interface Fleet {
  nodes(): NodePresence[];
  liveNodes(): NodePresence[];
  /** Calls `listener` after a node came, went, reported another revision, refusal or held snapshot. */
  watch(listener: () => void): () => void;
  /**
   * Waits until every live node has applied `revision`. A node that holds back a snapshot, or is still behind after 15 s, is not
   * waited for; the ids of those are returned. Null when after 15 s no node at all has it. Throws when `signal` aborts.
   */
  applied(revision: Revision, signal: AbortSignal): Promise<string[] | null>;
  refresh(): Promise<void>;
  close(): void;
}

export async function createFleet({ store, log }: { store: ConfigStore; log: Logger }): Promise<Fleet> {
  const emitter = new EventEmitter().setMaxListeners(0);
  let known = new Map<string, NodePresence>();

  function announce(before: NodePresence | undefined, after: NodePresence): void {
    if (before === undefined || digest(before) !== digest(after)) emitter.emit('change');
  }

  async function refresh(): Promise<void> {
    const listed = new Map((await store.listNodes()).map((presence) => [presence.report.node, presence]));
    const gone = [...known.keys()].some((node) => !listed.has(node));
    const before = known;
    known = listed;
    if (gone) emitter.emit('change');
    else for (const [node, presence] of listed) announce(before.get(node), presence);
  }

  const unwatch = store.watchNodes((presence) => {
    if (presence === null) {
      refresh().catch(onTrouble);
      return;
    }
    const before = known.get(presence.report.node);
    known.set(presence.report.node, presence);
    announce(before, presence);
  });
  const onTrouble = (error: unknown) =>
    log.warn({ err: error }, 'cannot read the nodes; keeping what is known');
  const timer = setInterval(() => refresh().catch(onTrouble), refreshIntervalMs);
  await refresh();

  const nodes = () => [...known.values()].sort((a, b) => (a.report.node < b.report.node ? -1 : 1));
  const liveNodes = () => nodes().filter((presence) => presence.live);

  function watch(listener: () => void): () => void {
    emitter.on('change', listener);
    return () => emitter.off('change', listener);
  }

  function applied(revision: Revision, signal: AbortSignal): Promise<string[] | null> {
    return new Promise((resolve, reject) => {
      let patient = true;
      const check = () => {
        const live = liveNodes();
        const behind = live.filter(({ report }) => !hasReached(report.applied, revision));
        const waitedFor = patient ? behind.filter(({ report }) => report.held === null) : [];
        if (waitedFor.length === 0 && behind.length < live.length) {
          finish(() => resolve(behind.map(({ report }) => report.node)));
        } else if (!patient && behind.length === live.length) {
          finish(() => resolve(null));
        }
      };
      const onAbort = () => finish(() => reject(signal.reason));
      const unwatchFleet = watch(check);
      const patience = setTimeout(() => {
        patient = false;
        check();
      }, challengePatienceMs);
      const finish = (settle: () => void) => {
        unwatchFleet();
        clearTimeout(patience);
        signal.removeEventListener('abort', onAbort);
        settle();
      };
      signal.addEventListener('abort', onAbort);
      if (signal.aborted) onAbort();
      else check();
    });
  }

  return {
    nodes,
    liveNodes,
    watch,
    applied,
    refresh,
    close() {
      unwatch();
      clearInterval(timer);
    },
  };
}

function digest({ live, report }: NodePresence): string {
  const { instance, applied, refusals, held } = report;
  return JSON.stringify([live, instance, applied, refusals, held]);
}
