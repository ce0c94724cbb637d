import { AppError, type Kind, kinds } from '@lockstep/contract';

/** Every key and channel. One hash tag keeps them in one slot of a Cluster. */
export function createRedisKeys(prefix: string) {
  if (!/^[\w.:-]{1,64}$/.test(prefix)) {
    throw new AppError('bad_configuration', 'the prefix of the store has letters, digits and . _ : - only');
  }
  const key = (name: string) => `{${prefix}}:${name}`;
  return {
    /** Hash: epoch, number, commitId, and of the log: logFrom (its first number), logBytes. */
    meta: key('meta'),
    /** Hash: `kind/id` → revision (and where it falls due, its score), claims (a JSON array) and value, one to a line. */
    records: key('records'),
    /** Sorted set of `kind/id`, for lists in byte order. */
    ids: key('ids'),
    /** Hash: claim → `kind/id`. */
    claims: key('claims'),
    /** Sorted set of claims, for prefixes. */
    claimIndex: key('claim-index'),
    /** Stream: entry `<number>-0` has id, previous and changes. */
    log: key('log'),
    /** Hash: number → commit id and bytes of the log's entry, for more commits than the log holds. */
    history: key('history'),
    /** List: when, reason, epoch, epoch before, number and id kept, number and id lost, one to a line. */
    turns: key('turns'),
    /** Stream: entry `<ms since 1970>-<n>` has position, origin, record (`kind/id`), before and after. */
    journal: key('journal'),
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
    commitsChannel: key('commits'),
    nodesChannel: key('nodes'),
    /** Two, as edges may publish to the first alone. */
    hintChannels: { ask: key('asks'), verdict: key('verdicts') },
  };
}

export type RedisKeys = ReturnType<typeof createRedisKeys>;
