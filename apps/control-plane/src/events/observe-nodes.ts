import { createHash } from 'node:crypto';
import type { EventDraft, FleetStatus, NodePresence, Refusal } from '@lockstep/contract';
import { iso } from '../time/iso.ts';
import type { Observation } from './teller.ts';

/** What lasts shorter is no news: a node that starts, a slow link, a full machine. */
const patienceMs = 5_000;
/** Refusals that an event names. */
const mostNamed = 20;

export const nodeTopics = ['node', 'node-behind', 'node-refused', 'node-drained'] as const;

/** What is to be told of the fleet as it stands; of what has not lasted yet, nothing. */
export function observeNodes(
  nodes: readonly NodePresence[],
  status: FleetStatus,
  now: number,
): Observation[] {
  return [...nodes.flatMap((presence) => observeNode(presence, status, now)), ...observeFleet(status, now)];
}

/** A node that is no longer there: it left, or was lost so long that it was forgotten. */
export function observeGone(node: string): Observation[] {
  const [first, ...others] = nodeTopics.map(
    (topic): Observation => ({ key: `${topic}/${node}`, state: null }),
  );
  const events: Observation['events'] = (before) =>
    before?.state === 'live' ? [ofNode('node.left', node, {})] : [];
  return [{ ...first!, events }, ...others];
}

function observeNode(
  { report, live, stopped, seenAt }: NodePresence,
  { behind }: FleetStatus,
  now: number,
): Observation[] {
  const { node, version, refusals, drained } = report;
  const state = stopped ? 'left' : live ? 'live' : 'lost';
  const came: Record<typeof state, EventDraft> = {
    live: ofNode('node.joined', node, { version }),
    lost: ofNode('node.lost', node, { lastSeenAt: iso(seenAt) }),
    left: ofNode('node.left', node, {}),
  };
  const late = behind.find((one) => one.node === node);
  const observations: Observation[] = [
    { key: `node/${node}`, state, events: () => [came[state]] },
    {
      key: `node-drained/${node}`,
      state: drained === null ? 'no' : 'drained',
      events: () => (drained === null ? [] : [ofNode('node.drained', node, { since: drained.since })]),
    },
    {
      key: `node-refused/${node}`,
      state: refusals.length === 0 ? 'no' : 'refused',
      mark: refusals.length === 0 ? '' : markOf(refusals),
      events: () =>
        refusals.length === 0
          ? []
          : [
              ofNode('node.refused', node, {
                count: refusals.length,
                refusals: refusals.slice(0, mostNamed).map(({ kind, id, revision, reason }) => ({
                  kind,
                  id,
                  revision,
                  reason,
                })),
              }),
            ],
    },
  ];
  // One that is away is lost, and not behind.
  if (late === undefined || state !== 'live') observations.push({ key: `node-behind/${node}`, state: 'no' });
  else if (lasts(late.since, now))
    observations.push({
      key: `node-behind/${node}`,
      state: 'behind',
      events: () => [ofNode('node.behind', node, { since: late.since, reason: late.reason })],
    });
  return observations;
}

function observeFleet({ inStep, since, behind, nodes, revision }: FleetStatus, now: number): Observation[] {
  const key = 'fleet/fleet';
  const subject = { kind: 'fleet', id: 'fleet' } as const;
  if (inStep)
    return [
      {
        key,
        state: 'in_step',
        events: () => [{ type: 'fleet.in_step', subject, data: { since, revision, nodes: nodes.live } }],
      },
    ];
  if (!lasts(since, now)) return [];
  const named = behind.slice(0, mostNamed);
  return [
    {
      key,
      state: 'out_of_step',
      // Before its first node there is no fleet that could be out of step.
      events: (before) =>
        before === null && nodes.expected === 0
          ? []
          : [{ type: 'fleet.out_of_step', subject, data: { since, behind: named } }],
    },
  ];
}

function ofNode(type: EventDraft['type'], node: string, data: EventDraft['data']): EventDraft {
  return { type, subject: { kind: 'node', id: node }, data: { node, ...data } };
}

const lasts = (since: string, now: number) => now - Date.parse(since) >= patienceMs;

function markOf(refusals: readonly Refusal[]): string {
  const named = refusals.map(({ kind, id, revision }) => `${kind}/${id}@${revision}`).sort();
  return createHash('sha256').update(named.join('\n')).digest('base64url').slice(0, 22);
}
