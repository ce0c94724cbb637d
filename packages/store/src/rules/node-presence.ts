import { AppError, type NodePresence, type NodeReport, nodeLostAfterMs } from '@lockstep/contract';

export function nodeIdTaken(node: string): AppError {
  return new AppError('node_id_taken', `another live process runs as node "${node}"`, { facts: { node } });
}

/** Whether a report has to be refused: another process, which was not on the same home, is live under the node id. */
export function isTaken(known: Pick<NodePresence, 'live' | 'report'> | null, report: NodeReport): boolean {
  if (known === null || !known.live) return false;
  return known.report.instance !== report.instance && known.report.home !== report.home;
}

export function isLive(ageMs: number, stopped: boolean): boolean {
  return !stopped && ageMs <= nodeLostAfterMs;
}
