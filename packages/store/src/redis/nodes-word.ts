import type { NodePresence, Position } from '@lockstep/contract';
import type { StoreLog } from '../interface/log.ts';
import { isLeftBehind } from '../rules/standing.ts';
import type { RedisHistory } from './redis-history.ts';

/** A node that can follow finds by itself within this time that the history went back. */
const heldMs = 5_000;
/** An edge may say what it likes; so often it makes the whole fleet take a snapshot, at most. */
const believedEveryMs = 3_600_000;

/**
 * A store that was put back while no control plane remembers what it held: a node that stands on later commits of the same epoch, and
 * keeps standing there, is believed, and a new epoch begins.
 */
export function createNodesWord(history: RedisHistory, log: StoreLog) {
  const since = new Map<string, number>();
  let turning = false;

  return function hear(nodes: readonly NodePresence[]): void {
    const claims = nodes.filter(({ live, standing, report }) => {
      const ofThisEpoch = history.epoch !== null && report.applied?.epoch === history.epoch;
      return live && ofThisEpoch && standing !== null && isLeftBehind(standing);
    });
    const claiming = new Set(claims.map(({ report }) => report.instance));
    for (const instance of since.keys()) if (!claiming.has(instance)) since.delete(instance);
    const now = performance.now();
    for (const { report } of claims) {
      const { node, instance, applied } = report;
      const first = since.get(instance) ?? now;
      since.set(instance, first);
      if (now - first >= heldMs && applied !== null && !turning) void believe(node, applied);
    }
  };

  async function believe(node: string, applied: Position): Promise<void> {
    turning = true;
    try {
      const turns = await history.listTurns();
      const last = turns.findLast(({ reason }) => reason === 'went_back');
      if (last !== undefined && (await history.now()) - last.at < believedEveryMs) return;
      log.warn({ node, revision: applied.number }, 'a node stands on commits that the store does not hold');
      await history.turn('went_back', applied);
    } catch (error) {
      log.warn({ node, err: error }, 'a node stands on commits that the store does not hold; looking again');
    } finally {
      turning = false;
    }
  }
}
