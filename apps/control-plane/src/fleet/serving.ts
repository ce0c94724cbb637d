import {
  type BehindNode,
  edgeKinds,
  type Kind,
  type NodePresence,
  type NodeReport,
  type Refusal,
  recordKey,
  type UnhealthyUpstream,
} from '@lockstep/contract';
import { iso } from '../time/iso.ts';

/** A record as somebody has to serve it: at this revision of the store's history, or at a later one. */
export interface NeededRecord {
  kind: Kind;
  id: string;
  revision: number;
}

/** Why a node does not serve something. `lasting`: nothing is gained by waiting a moment. */
export interface Fault {
  reason: string;
  lasting: boolean;
}

/** What a node's last report says of all that it serves. */
export interface NodeStanding {
  node: string;
  /** Heard of within the last seconds; a lost node is still expected. */
  connected: boolean;
  /** It says that it takes no traffic. */
  drained: boolean;
  /** Why it may serve none of what the store says; null: it serves everything up to `applied` that it does not refuse. */
  fault: Fault | null;
  applied: number;
  /** The epoch of `applied`; null before the first. */
  epoch: string | null;
  /** Why it does not get further, where that is known: how it follows the store. */
  follows: string | null;
  /** The kinds of records that it puts to use. */
  kinds: ReadonlySet<string>;
  /** The upstreams that it finds unhealthy, by `healthKeyOf` them. */
  unhealthy: ReadonlyMap<string, UnhealthyUpstream>;
  /** By the key of the record. */
  refusals: ReadonlyMap<string, Refusal>;
}

/** Who serves some records, and who does not. */
export interface Served {
  /** How many connected nodes serve all of them. */
  live: number;
  /** The expected nodes that do not, the connected ones first. */
  behind: BehindNode[];
  /** All that have to serve them do, and there is one at least. */
  everywhere: boolean;
}

/**
 * What is live, in one place: a node serves a record when it is live, holds nothing back, its workers beat and answer, and it stands on the
 * store's history (by commit, not by number) at or beyond the record's revision, makes use of its kind, and does not refuse it. Numbers are compared
 * within one history alone: a record is judged by where the nodes stand after it was read (`Fleet.judge`), in the epoch it was read in.
 */
export function standingOf({ report, live, stopped, seenAt, standing }: NodePresence): NodeStanding {
  const { node, applied, held, workers, unanswered, feed, capabilities, refusals } = report;
  return {
    node,
    connected: live,
    drained: report.drained !== null,
    fault: faultOf(),
    applied: applied?.number ?? 0,
    epoch: applied?.epoch ?? null,
    follows: followsHow(feed),
    kinds: new Set(capabilities.kinds),
    unhealthy: new Map(report.upstreams?.first.map((upstream) => [upstream.key, upstream])),
    refusals: new Map(refusals.map((refusal) => [`${refusal.kind}/${refusal.id}`, refusal])),
  };

  function faultOf(): Fault | null {
    if (stopped) return lasting(`was stopped at ${iso(seenAt)}`);
    if (!live) return lasting(`is lost: not heard of since ${iso(seenAt)}`);
    if (held !== null) return lasting('holds back a snapshot');
    if (applied === null) return passing(withWay('has no whole configuration yet', followsHow(feed)));
    if (workers.ready < workers.of) return passing(`has ${workers.ready} of ${workers.of} workers ready`);
    if (unanswered !== null) return passing(`does not answer its own handshakes: ${unanswered}`);
    if (standing === 'on') return null;
    const where = `stands at revision ${applied.number}, ${strayed[standing ?? 'unknown']}`;
    return passing(withWay(where, followsHow(feed)));
  }
}

const strayed = {
  ahead: 'which the store does not have',
  apart: 'of a history that is not the store’s',
  unknown: 'which the store no longer remembers',
} as const;

/** Why the node does not serve all of `needed`; null: it does. */
export function whyNotServed(
  { fault, applied, follows, kinds, refusals }: NodeStanding,
  needed: readonly NeededRecord[],
): Fault | null {
  if (fault !== null) return fault;
  for (const { kind, id, revision } of needed) {
    if (!kinds.has(kind)) return lacks(kind);
    const refusal = refusals.get(recordKey(kind, id));
    if (refusal !== undefined && refusal.revision >= revision)
      return lasting(`refused ${kind} ${id}: ${refusal.reason}`);
  }
  return needed.every(({ revision }) => revision <= applied)
    ? null
    : passing(withWay('has not applied this revision yet', follows));
}

/** A kind of records for edges that the node makes no use of, as the fault that it is for each of them; null: it knows them all. */
export function lackedKind({ kinds }: NodeStanding): Fault | null {
  const lacked = edgeKinds.find((kind) => !kinds.has(kind));
  return lacked === undefined ? null : lacks(lacked);
}

/** What the nodes say of records that were read in `epoch`: where the history went back since, nobody serves them. */
export function inEpoch<View extends { epoch: string | null; nodes: readonly NodeStanding[] }>(
  view: View,
  epoch: string | null,
): View {
  if (view.epoch === epoch) return view;
  const fault = passing('has not applied the history that the store went back to');
  return { ...view, nodes: view.nodes.map((node) => ({ ...node, fault: node.fault ?? fault })) };
}

export function servedBy(
  nodes: readonly NodeStanding[],
  needed: readonly NeededRecord[],
  liveNeeds: 'connected' | 'expected',
): Served {
  const served: BehindNode[] = [];
  const lost: BehindNode[] = [];
  const behind: BehindNode[] = [];
  for (const standing of nodes) {
    const fault = whyNotServed(standing, needed);
    const list = fault === null ? served : standing.connected ? behind : lost;
    list.push({ node: standing.node, reason: fault?.reason ?? '' });
  }
  const missing = behind.length + (liveNeeds === 'expected' ? lost.length : 0);
  return {
    live: served.length,
    behind: [...behind, ...lost],
    everywhere: served.length > 0 && missing === 0,
  };
}

function followsHow({ state, since, detail, records }: NodeReport['feed']): string | null {
  if (state === 'broken')
    return `it cannot follow the store since ${since}: ${detail ?? 'no reason is told'}`;
  return state === 'syncing' ? `a whole configuration is on its way, ${records ?? 0} records so far` : null;
}

const lacks = (kind: Kind) => lasting(`does not know what a ${kind} is; upgrade it`);
const withWay = (reason: string, follows: string | null) =>
  follows === null ? reason : `${reason}; ${follows}`;
const lasting = (reason: string): Fault => ({ reason, lasting: true });
const passing = (reason: string): Fault => ({ reason, lasting: false });
