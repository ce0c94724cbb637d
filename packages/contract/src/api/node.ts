import { z } from 'zod';
import { nodeIdPattern, nodeIdRule } from '../shared/node-id.ts';
import { Revision } from '../shared/revision-schema.ts';
import { Timestamp } from '../shared/timestamp.ts';

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

/** An operator's word that a node is to get no more traffic, and what the node says of it. */
export const NodeDrainStatus = z
  .object({
    since: Timestamp,
    inForce: z
      .boolean()
      .describe('The node says that its `/readyz` answers 503: it no longer counts, and gates nothing'),
    connections: z.int().nullable().describe('How many clients are connected to it still; null: not told'),
  })
  .meta({ id: 'NodeDrain' });

/** How a node finds an upstream of routes that say how its health is known. */
export const NodeUpstream = z
  .object({
    url: z.string(),
    state: z.enum(['healthy', 'unhealthy', 'unknown']).describe('`unknown`: its first check is under way'),
    by: z
      .enum(['active', 'passive'])
      .nullable()
      .describe('What it is unhealthy by: checks, or what became of requests'),
    since: Timestamp.nullable().describe('Since when it is so; null: since it is looked at'),
    detail: z.string().nullable().describe('Why it is unhealthy'),
    checkedAt: Timestamp.nullable().describe('When its last check ended; null: none did, or there are none'),
  })
  .meta({ id: 'NodeUpstream' });
export type NodeUpstream = z.infer<typeof NodeUpstream>;

export const Node = z
  .object({
    id: z.string(),
    state: z.enum(['live', 'lost', 'stopped']).describe('`stopped`: it said that it comes back'),
    drain: NodeDrainStatus.nullable().describe('Null: it takes traffic, and nobody asked for another thing'),
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
