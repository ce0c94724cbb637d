import { EventEmitter } from 'node:events';
import type { NodePresence, NodeReport, Position, Standing } from '@lockstep/contract';
import { isLive, isTaken, nodeIdTaken } from '../rules/node-presence.ts';

interface Entry {
  report: NodeReport;
  seenAt: number;
  stopped: boolean;
}

/** The presence of nodes within one process: it ends with the process, as the embedded store's nodes do. */
export function createMemoryPresence(now: () => number, standingOf: (position: Position) => Standing) {
  const entries = new Map<string, Entry>();
  const events = new EventEmitter<{ change: [NodePresence | null] }>().setMaxListeners(0);

  return {
    report(report: NodeReport): void {
      const known = entries.get(report.node);
      if (isTaken(known === undefined ? null : present(known), report)) throw nodeIdTaken(report.node);
      put({ report: structuredClone(report), seenAt: now(), stopped: false });
    },

    remove(node: string, instance: string, { returns }: { returns: boolean }): void {
      const known = entries.get(node);
      if (known?.report.instance !== instance) return;
      if (returns) put({ ...known, seenAt: now(), stopped: true });
      else forget(node);
    },

    forget,

    list(): NodePresence[] {
      return [...entries.values()]
        .sort((one, other) => (one.report.node < other.report.node ? -1 : 1))
        .map(present);
    },

    watch(listener: (presence: NodePresence | null) => void): () => void {
      events.on('change', listener);
      return () => events.off('change', listener);
    },
  };

  function put(entry: Entry): void {
    entries.set(entry.report.node, entry);
    events.emit('change', present(entry));
  }

  function forget(node: string): boolean {
    if (!entries.delete(node)) return false;
    events.emit('change', null);
    return true;
  }

  function present({ report, seenAt, stopped }: Entry): NodePresence {
    const standing = report.applied === null ? null : standingOf(report.applied);
    return { report, seenAt, stopped, live: isLive(now() - seenAt, stopped), standing };
  }
}
