import type { DrainRecord, Node, NodePresence, NodeReport, Position } from '@lockstep/contract';
import type { RecentCommits } from '../changes/recent-commits.ts';
import { iso } from '../time/iso.ts';
import { standingOf } from './serving.ts';

/** A node as the API shows it. `drain`: what an operator asked for, which it may not have heard of yet. */
export function presentNode(
  presence: NodePresence,
  drain: DrainRecord | null,
  commits: RecentCommits,
  now: number,
): Node {
  const { report, seenAt, live, stopped, standing } = presence;
  const { node, applied, hosts, refusals, held, workers, feed, addresses, version, startedAt } = report;
  const revision = applied !== null && standing === 'on' ? applied.number : null;
  return {
    id: node,
    state: stopped ? 'stopped' : live ? 'live' : 'lost',
    drain: drainOf(report, drain),
    lastSeenAt: iso(seenAt),
    // The number of another history says nothing about this one.
    revision,
    fault: standingOf(presence).fault?.reason ?? null,
    configurationAgeMs: revision === null || applied === null ? null : ageOf(applied, commits, now),
    feed,
    clockSkewMs: skewOf(presence),
    hosts,
    refusals,
    held,
    workers,
    addresses,
    version,
    startedAt,
  };
}

function drainOf({ drained }: NodeReport, wanted: DrainRecord | null): Node['drain'] {
  const since = wanted?.since ?? drained?.since;
  if (since === undefined) return null;
  return { since, inForce: drained !== null, connections: drained?.connections ?? null };
}

/** How far a node's clock was ahead of the store's when it reported: the time that the report took is in it. */
export function skewOf({ report, seenAt }: NodePresence): number {
  const skewMs = Math.round(report.clock - seenAt);
  // What a node says of its clock may be any number.
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, skewMs));
}

function ageOf(applied: Position, commits: RecentCommits, now: number): number | null {
  if (commits.head === null) return 0;
  if (applied.epoch !== commits.head.epoch) return null;
  if (applied.number >= commits.head.number) return 0;
  const since = commits.since(applied);
  return since === null ? null : Math.max(0, Math.round(now - since));
}
