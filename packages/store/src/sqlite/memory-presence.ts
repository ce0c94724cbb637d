import { EventEmitter } from 'node:events';
import { type NodePresence, type NodeReport, nodeLostAfterMs } from '@lockstep/contract';
import { nodeIdTaken, presenceKeptMs } from '../node-presence.ts';

/** The presence of nodes within one process: it ends with the process, as the embedded store's nodes do. */
export function createMemoryPresence(now: () => number) {
  const reports = new Map<string, { report: NodeReport; seenAt: number }>();
  const events = new EventEmitter<{ change: [NodePresence | null] }>().setMaxListeners(0);

  return {
    report(report: NodeReport): void {
      const known = reports.get(report.node);
      if (known !== undefined && isTaken(known, report, now())) throw nodeIdTaken(report.node);
      const entry = { report: structuredClone(report), seenAt: now() };
      reports.set(report.node, entry);
      events.emit('change', { ...entry, live: !report.stopped });
    },

    remove(node: string, instance: string): void {
      if (reports.get(node)?.report.instance !== instance) return;
      reports.delete(node);
      events.emit('change', null);
    },

    list(): NodePresence[] {
      const at = now();
      for (const [node, { seenAt }] of reports) if (at - seenAt > presenceKeptMs) reports.delete(node);
      return [...reports.values()]
        .sort((one, other) => (one.report.node < other.report.node ? -1 : 1))
        .map((entry) => ({ ...entry, live: !entry.report.stopped && at - entry.seenAt <= nodeLostAfterMs }));
    },

    watch(listener: (presence: NodePresence | null) => void): () => void {
      events.on('change', listener);
      return () => events.off('change', listener);
    },
  };
}

function isTaken(known: { report: NodeReport; seenAt: number }, report: NodeReport, at: number): boolean {
  return (
    known.report.instance !== report.instance &&
    known.report.home !== report.home &&
    !known.report.stopped &&
    at - known.seenAt <= nodeLostAfterMs
  );
}
