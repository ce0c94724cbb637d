import { z } from 'zod';
import { Timestamp } from '../shared/timestamp.ts';
import { BehindNode } from './route.ts';

export const WentBack = z
  .object({
    at: Timestamp,
    reason: z
      .enum(['restored', 'went_back'])
      .describe('`restored`: an operator said so; `went_back`: commits that were known are gone'),
    epoch: z.string().describe('The epoch in which the history goes on'),
    from: z.int().describe('The last revision that still stands'),
    to: z.int().nullable().describe('The last revision that is gone; null where none was known of'),
    commits: z
      .int()
      .nullable()
      .describe(
        'How many are gone; null where none was known of, and where the history had turned since `from`',
      ),
    records: z
      .array(z.string())
      .describe('Routes and certificates that these had changed, as far as this control plane remembers'),
  })
  .meta({
    id: 'WentBack',
    description:
      'The store went back behind commits that were answered for: a backup was put back, or a replica took over without them',
  });
export type WentBack = z.infer<typeof WentBack>;

const KeyState = z
  .object({
    current: z.string().describe('The id of the key that all is sealed with now'),
    older: z
      .array(z.object({ id: z.string(), left: z.int().nullable() }))
      .describe(
        'The keys that were rotated away from and are still needed: how many secrets are sealed with each; null: not counted yet. Empty: every other key can be taken out of the configuration',
      ),
  })
  .meta({ id: 'KeyState' });

/** The keys that secrets are sealed with, by id: a short digest that tells nothing of the key. */
export const FleetKeysStatus = z.object({
  secret: KeyState.describe('`LOCKSTEP_SECRET_KEY`, of control planes'),
  edge: KeyState.describe('`LOCKSTEP_EDGE_KEY`, of edges'),
});
export type FleetKeysStatus = z.infer<typeof FleetKeysStatus>;

/** The answer of `GET /v1/fleet`. */
export const FleetStatus = z
  .object({
    inStep: z
      .boolean()
      .describe(
        'Every expected node is live, knows every kind of record, and stands at the store’s last commit, or will within a moment',
      ),
    since: Timestamp.describe('Since when this control plane has found it so'),
    epoch: z.string().nullable(),
    revision: z.int().nullable().describe('The store’s last commit, as this control plane knows it'),
    nodes: z.object({
      live: z.int().describe('Connected nodes that serve all that the store says'),
      of: z.int().describe('Connected nodes'),
      expected: z.int().describe('Connected and lost nodes'),
      lost: z.array(z.string()),
      drained: z.array(z.string()).describe('Take no traffic, and are in none of the others'),
    }),
    behind: z.array(BehindNode.extend({ since: Timestamp })).describe('Nodes that are not in step, and why'),
    store: z
      .object({
        reachable: z.boolean(),
        since: z.string().nullable().describe('Since when something has been wrong with it'),
        detail: z.string().nullable().describe('What is wrong with it; null: nothing'),
        damage: z
          .array(z.object({ key: z.string(), detail: z.string(), mended: z.boolean(), at: Timestamp }))
          .describe(
            'What this control plane found damaged since it started. What was mended was made anew from the records; else a backup has to be restored',
          ),
      })
      .describe(
        'While something is wrong with it nothing is in step, and while it cannot be reached all of this is what was known last',
      ),
    keys: FleetKeysStatus.describe('The keys that secrets are sealed with, and a rotation under way'),
    history: z.object({ wentBack: z.array(WentBack) }),
    clock: z.object({
      skewMs: z.int().describe('How far this control plane’s clock is ahead of the store’s'),
      fault: z.string().nullable().describe('Why this control plane issues no certificates, if it is wrong'),
      nodes: z
        .array(z.object({ node: z.string(), skewMs: z.int() }))
        .describe('Nodes whose clock is more than five minutes off'),
    }),
  })
  .meta({ id: 'FleetStatus' });
export type FleetStatus = z.infer<typeof FleetStatus>;
