import { AppError, type Audience, audienceOf, type Kind, kinds } from '@lockstep/contract';

/** How the keys are laid out; goes up with each change that another revision would misread. Written with the epoch. */
export const layout = '2';

/**
 * Every key and channel. One hash tag keeps them in one slot of a Cluster. An edge's user reads `meta`, `history` and what begins with
 * `edge:`; what begins so holds nothing of a kind for control planes alone.
 */
export function createRedisKeys(prefix: string) {
  if (!/^[\w.:-]{1,64}$/.test(prefix)) {
    throw new AppError('bad_configuration', 'the prefix of the store has letters, digits and . _ : - only');
  }
  const key = (name: string) => `{${prefix}}:${name}`;
  const keysOf = (audience: Audience) => ({
    /** Hash: `kind/id` → revision (and where it falls due, its score), claims (a JSON array) and value, one to a line. */
    records: key(`${audience}:records`),
    /** Sorted set of `kind/id`, for lists in byte order. */
    ids: key(`${audience}:ids`),
    /** Stream: entry `<number>-0` has id, previous, changes and, for control planes, origin. Edges get their kinds' changes, control planes all. */
    log: key(`${audience}:log`),
    /** Announces what `log` gets. */
    commitsChannel: key(`${audience}:commits`),
  });
  const audiences = { edge: keysOf('edge'), control: keysOf('control') };
  return {
    ...audiences,
    /** The records of the kind. */
    of: (kind: Kind) => audiences[audienceOf(kind)],
    /** Hash: layout, epoch, number, commitId, lastEvent, and of the logs: logFrom (their first number), logBytes. */
    meta: key('meta'),
    /** Hash: claim → `kind/id`. */
    claims: key('claims'),
    /** Sorted set of claims, for prefixes. */
    claimIndex: key('claim-index'),
    /** Hash: number → commit id and bytes of the entries of both logs, control planes' first, for more commits than the logs hold. */
    history: key('history'),
    /** List: when, reason, epoch, epoch before, number and id kept, number and id lost, one to a line. */
    turns: key('turns'),
    /** Stream: entry `<ms since 1970>-<n>` has position, origin, record (`kind/id`), before and after. */
    journal: key('journal'),
    /** Stream: entry `<number>-<index in its commit>` has epoch, at, previous (an event's id) and event. */
    events: key('events'),
    /** The last fencing token. */
    fence: key('fence'),
    /** Sorted set of node ids that may have a presence. */
    nodeIds: key('node-ids'),
    /** Sorted sets of `kind/id` by dueAt. */
    due: (kind: Kind) => key(`due:${kind}`),
    allDue: kinds.map((kind) => key(`due:${kind}`)),
    /** String: the number of the commit made under this id. */
    commitId: (id: string) => key(`commit:${id}`),
    /** String: the token of the grant; it expires with the lease. */
    lease: (name: string) => key(`lease:${name}`),
    /** String, written by the node alone: JSON of report and stopped. Its time to live tells when. */
    node: (node: string) => key(`node:${node}`),
    nodesChannel: key('nodes'),
    /** Two, as edges may publish to the first alone, and hear the second. */
    hintChannels: { fromEdges: key('asks'), toEdges: key('verdicts') },
  };
}

export type RedisKeys = ReturnType<typeof createRedisKeys>;
