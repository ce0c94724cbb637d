import { z } from 'zod';
import { FeedState, HeldSnapshot, Refusal } from '../api/node.ts';
import type { Standing } from '../shared/revision.ts';
import { Position } from '../shared/revision-schema.ts';
import { Timestamp } from '../shared/timestamp.ts';
import { UnhealthyUpstream } from './upstream-state.ts';

/**
 * What a node says of itself every 2 s, and at once when something changed; a moment later where it passed commits that had nothing for it.
 * The acknowledgement of changes is `applied`.
 */
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
  /** The kinds of records that it puts to use: others are nothing to it, and it refuses none of them. */
  capabilities: z.object({ kinds: z.array(z.string()) }),
  /** The ids of the edge keys that it opens with, as they were given; its saved configuration is sealed with the first. */
  keys: z.array(z.string()),
  refusals: z.array(Refusal),
  held: HeldSnapshot.nullable(),
  hosts: z.int(),
  /** `ready`: has a whole configuration, listens, and has answered its last beats. */
  workers: z.object({ ready: z.int(), of: z.int() }),
  /** Why its handshakes with its own listener are not answered, though workers are ready; null: they are. */
  unanswered: z.string().nullable().default(null),
  /** Since when its `/readyz` tells balancers to send nothing more, and how many clients are connected still; null: it takes traffic. */
  drained: z.object({ since: Timestamp, connections: z.int().nullable() }).nullable().default(null),
  feed: FeedState,
  /** Where routes say how the health of their upstreams is known: how many there are, and the first of the unhealthy ones. */
  upstreams: z.object({ watched: z.int(), unhealthy: z.int(), first: z.array(UnhealthyUpstream) }).optional(),
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
