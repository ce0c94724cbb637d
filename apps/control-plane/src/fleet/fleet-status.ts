import {
  type Boundary,
  createBoundary,
  type DrainRecord,
  type FleetStatus,
  type Node,
  type NodePresence,
} from '@lockstep/contract';
import type { Logger } from 'pino';
import type { RecentCommits } from '../changes/recent-commits.ts';
import { iso } from '../time/iso.ts';
import type { Fleet } from './fleet.ts';
import type { Turns } from './history-turns.ts';
import { presentNode, skewOf } from './node-view.ts';
import { lackedKind } from './serving.ts';
import { clockSkewAllowedMs, type StoreClock } from './store-clock.ts';
import type { StoreWatch } from './store-watch.ts';

/** How long a node may take with a commit before it counts as behind: slow links and full machines are no trouble yet. */
const patienceMs = 5_000;
const lookIntervalMs = 1_000;

/** Whether the fleet is in step, since when, and who is not. Changes are logged. */
export interface FleetWatch {
  /** As the nodes were heard of last. */
  status(): FleetStatus;
  /** As the nodes stand on the history now; where the store cannot be reached, as was known last. */
  judge(): Promise<FleetStatus>;
  /** A node as the API shows it. */
  present(presence: NodePresence, drain: DrainRecord | null): Node;
  close(): void;
}

export interface FleetWatchOptions {
  fleet: Fleet;
  commits: RecentCommits;
  turns: Turns;
  storeWatch: StoreWatch;
  clock: StoreClock;
  /** How the keys stand that secrets are sealed with. */
  keys(): FleetStatus['keys'];
  log: Logger;
  boundary?: Boundary;
}

export function createFleetWatch({
  fleet,
  commits,
  turns,
  storeWatch,
  clock,
  keys,
  log,
  boundary = createBoundary(log),
}: FleetWatchOptions): FleetWatch {
  let behind = new Map<string, { reason: string; since: number }>();
  let inStep: boolean | null = null;
  let since = clock.now();

  const trouble = () => storeWatch.state().detail ?? fleet.trouble()?.detail ?? null;

  function look(): void {
    const now = clock.now();
    const found = new Map<string, { reason: string; since: number }>();
    for (const [node, reason] of reasons(now))
      found.set(node, { reason, since: behind.get(node)?.since ?? now });
    for (const [node, { reason }] of found)
      if (!behind.has(node)) log.warn({ node, reason }, 'a node is not in step');
    for (const node of behind.keys())
      if (!found.has(node)) log.info({ node }, 'a node is in step again, or gone');
    behind = found;
    const stands = found.size === 0 && fleet.nodes().length > 0 && trouble() === null;
    if (stands !== inStep) since = now;
    inStep = stands;
  }

  function* reasons(now: number): Generator<[string, string]> {
    for (const standing of fleet.view().nodes) {
      const { node, fault, applied, epoch, follows, refusals } = standing;
      const waitedSince = commits.since({ epoch, number: applied });
      const [refusal] = refusals.values();
      const lacked = lackedKind(standing);
      if (fault !== null) yield [node, fault.reason];
      else if (commits.head !== null && epoch !== commits.head.epoch)
        yield [node, `stands at revision ${applied}, of another history than this control plane follows yet`];
      else if (waitedSince !== null && now - waitedSince > patienceMs)
        yield [node, follows ?? `has applied revision ${applied} of ${commits.head?.number ?? applied}`];
      else if (lacked !== null) yield [node, lacked.reason];
      else if (refusal !== undefined)
        yield [
          node,
          `refused ${refusals.size} records, among them ${refusal.kind} ${refusal.id}: ${refusal.reason}`,
        ];
    }
  }

  // Some faults last a moment: they are looked for now and then, not at each change.
  const timer = setInterval(boundary.guard('fleet', look), lookIntervalMs);
  look();

  const watch: FleetWatch = {
    async judge() {
      await storeWatch.look();
      if (trouble() === null) await fleet.judge().catch(() => {});
      return watch.status();
    },
    status() {
      look();
      const { nodes, drained } = fleet.view();
      const connected = nodes.filter((node) => node.connected);
      return {
        inStep: inStep === true,
        since: iso(since),
        epoch: commits.head?.epoch ?? null,
        revision: commits.head?.number ?? null,
        nodes: {
          live: connected.filter(({ node }) => !behind.has(node)).length,
          of: connected.length,
          expected: nodes.length,
          lost: nodes.filter((node) => !node.connected).map(({ node }) => node),
          drained: drained.map(({ node }) => node),
        },
        behind: [...behind].map(([node, one]) => ({ node, reason: one.reason, since: iso(one.since) })),
        store: withTrouble(storeWatch.state(), fleet.trouble()),
        keys: keys(),
        history: { wentBack: turns.wentBack() },
        clock: {
          skewMs: clock.skewMs(),
          fault: clock.fault(),
          nodes: fleet
            .nodes()
            .map((presence) => ({ node: presence.report.node, skewMs: skewOf(presence) }))
            .filter(({ skewMs }) => Math.abs(skewMs) > clockSkewAllowedMs),
        },
      };
    },
    present: (presence, drain) => presentNode(presence, drain, commits, clock.now()),
    close: () => clearInterval(timer),
  };
  return watch;
}

/** The nodes cannot be read, though the store may answer. */
function withTrouble(
  store: FleetStatus['store'],
  trouble: ReturnType<Fleet['trouble']>,
): FleetStatus['store'] {
  if (trouble === null || store.detail !== null) return store;
  return { ...store, reachable: false, since: iso(trouble.since), detail: trouble.detail };
}
