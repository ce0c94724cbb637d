import { z } from 'zod';
import { nodeIdPattern, nodeIdRule } from './node-id.ts';
import type { Standing } from './revision.ts';
import { Position, Revision } from './revision-schema.ts';
import { Timestamp } from './timestamp.ts';

export const NodeId = z.string().regex(nodeIdPattern, nodeIdRule);

/** A record that an edge could not put to use; what it held before stays in use. */
export const Refusal = z
  .object({ kind: z.string(), id: z.string(), revision: z.int(), reason: z.string() })
  .meta({ id: 'Refusal' });
export type Refusal = z.infer<typeof Refusal>;

/** A snapshot that would remove most of what an edge serves, held back until an operator confirms it. */
export const HeldSnapshot = z
  .object({ revision: Revision, hosts: z.int(), removed: z.int() })
  .meta({ id: 'HeldSnapshot' });
export type HeldSnapshot = z.infer<typeof HeldSnapshot>;

/**
 * How a node's following stands. `syncing`: a snapshot is on its way, `records` of it so far; `broken`: the history cannot be
 * followed, `detail` says why. What it serves meanwhile is what it had.
 */
export const FeedState = z
  .object({
    state: z.enum(['following', 'syncing', 'broken']),
    since: Timestamp,
    detail: z.string().nullable(),
    records: z.int().nullable(),
  })
  .meta({ id: 'FeedState' });
export type FeedState = z.infer<typeof FeedState>;

/** What a node says of itself every 2 s, and at once when something changed. The acknowledgement of changes is `applied`. */
export const NodeReport = z.object({
  node: z.string(),
  /** Random for each process: tells two processes with the same node id apart. */
  instance: z.string(),
  /** Random for each data folder, which one process at a time holds locked: a restart on it takes over at once. */
  home: z.string(),
  version: z.string(),
  startedAt: Timestamp,
  /** The lowest of the ready workers', after they swapped; null before the first, and while one has no whole configuration. */
  applied: Position.nullable(),
  refusals: z.array(Refusal),
  held: HeldSnapshot.nullable(),
  hosts: z.int(),
  /** `ready`: has a whole configuration, listens, and has answered its last beats. */
  workers: z.object({ ready: z.int(), of: z.int() }),
  /** Why its handshakes with its own listener are not answered, though workers are ready; null: they are. */
  unanswered: z.string().nullable().default(null),
  feed: FeedState,
  /** The node's own clock, in milliseconds since 1970: beside the store's date of the report it tells the skew. */
  clock: z.number(),
  addresses: z.object({ https: z.string(), http: z.string(), admin: z.string() }),
});
export type NodeReport = z.infer<typeof NodeReport>;

/** A node as the store knows it: its last report, and how long ago by the store's clock. */
export interface NodePresence {
  report: NodeReport;
  seenAt: number;
  live: boolean;
  /** It stopped and said that it comes back: not live, and expected. */
  stopped: boolean;
  /** How `report.applied` stands to the store's history, judged by the store; null while nothing is applied. */
  standing: Standing | null;
}

export const Node = z
  .object({
    id: z.string(),
    state: z.enum(['live', 'lost', 'stopped']).describe('`stopped`: it said that it comes back'),
    lastSeenAt: Timestamp,
    revision: z
      .int()
      .nullable()
      .describe('The revision the node has applied; null before the first, and of another history'),
    fault: z
      .string()
      .nullable()
      .describe('Why nothing is live with this node as it stands; null: it serves what it has applied'),
    configurationAgeMs: z
      .int()
      .nullable()
      .describe(
        'For how long there have been commits that the node has not applied, as far as this control plane knows; 0: none',
      ),
    feed: FeedState.describe('How it follows the store; while `syncing`, `records` have come so far'),
    clockSkewMs: z.int().describe('How far its clock was ahead of the store’s at its last report'),
    hosts: z.int(),
    refusals: z.array(Refusal),
    held: HeldSnapshot.nullable(),
    workers: z
      .object({ ready: z.int(), of: z.int() })
      .describe('`ready`: listens with a whole configuration, and has answered its last beats'),
    addresses: z.object({ https: z.string(), http: z.string(), admin: z.string() }),
    version: z.string(),
    startedAt: Timestamp,
  })
  .meta({ id: 'Node' });
export type Node = z.infer<typeof Node>;
