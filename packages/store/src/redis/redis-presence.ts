import { type NodePresence, type NodeReport, nodeLostAfterMs } from '@lockstep/contract';
import { nodeIdTaken, presenceKeptMs } from '../node-presence.ts';
import { type RedisCommands, readScript } from './redis-commands.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { RedisSubscriber } from './redis-subscriber.ts';

const reportNode = readScript('report-node-1.lua');
const removeNode = readScript('remove-node-1.lua');
const forgetNode = readScript('forget-node-2.lua');

/**
 * The presence of nodes, one key each. An edge's own Redis user needs no more than this (here for the prefix `lockstep` and
 * the node `edge-1`), so that it can follow and report, and can neither commit, nor touch another's presence, nor forge an
 * announcement:
 *
 *     ACL SETUSER edge-1 on >PASSWORD resetkeys resetchannels -@all +hello +auth +ping +info +time
 *       +subscribe +unsubscribe &{lockstep}:commits &{lockstep}:nodes &{lockstep}:asks &{lockstep}:verdicts
 *       +hget +hmget +zrange +zrangebylex +zlexcount +xrange +get +mget +eval +evalsha +set +del
 *       %R~{lockstep}:* ~{lockstep}:node:edge-1
 *       (+zadd %W~{lockstep}:node-ids) (+publish &{lockstep}:nodes) (+publish &{lockstep}:asks)
 *
 * (and `+cluster|slots +cluster|info` in a Cluster). The selectors keep PUBLISH to the channel of the nodes, whose messages are
 * therefore names only (whoever hears one reads the presence itself), and to that of the asks: verdicts are a control plane's.
 */
export function createRedisPresence(
  { run, runScript }: RedisCommands,
  subscriber: RedisSubscriber,
  keys: RedisKeys,
) {
  return {
    async report(report: NodeReport): Promise<void> {
      const { node, instance, home } = report;
      const args = [
        JSON.stringify(instance),
        JSON.stringify(home),
        JSON.stringify(report),
        nodeLostAfterMs,
        presenceKeptMs,
        keys.nodesChannel,
        node,
      ];
      const [, written] = await Promise.all([
        run((redis) => redis.zadd(keys.nodeIds, '0', node)),
        runScript(reportNode, [keys.node(node)], args),
      ]);
      if (written === 0) throw nodeIdTaken(node);
    },

    async remove(node: string, instance: string): Promise<void> {
      const args = [JSON.stringify(instance), keys.nodesChannel, node];
      await runScript(removeNode, [keys.node(node)], args);
    },

    async list(): Promise<NodePresence[]> {
      const nodes = await run((redis) => redis.zrange(keys.nodeIds, '0', '-1'));
      const found = await read(nodes);
      nodes.forEach((node, index) => {
        // An edge that lists may not write here; the control plane's next list does it.
        if (found[index] === null) forget(node).catch(() => {});
      });
      return found.filter((presence) => presence !== null);
    },

    watch(listener: (presence: NodePresence | null) => void): () => void {
      return subscriber.on(keys.nodesChannel, (node) => {
        if (node === null) return listener(null);
        read([node]).then(
          ([presence]) => listener(presence ?? null),
          () => {}, // a hint: the next list tells
        );
      });
    },
  };

  async function read(nodes: string[]): Promise<(NodePresence | null)[]> {
    if (nodes.length === 0) return [];
    const [time, values, { NodeReport }] = await Promise.all([
      run((redis) => redis.time()),
      run((redis) => redis.mget(nodes.map(keys.node))),
      import('@lockstep/contract/schemas'), // here, because edges report and do not read: they load no schemas
    ]);
    const parse = (value: unknown) => NodeReport.safeParse(value).data ?? null;
    return nodes.map((node, index) => parsePresence(node, values[index] ?? null, { parse, now: toMs(time) }));
  }

  function forget(node: string): Promise<unknown> {
    return runScript(forgetNode, [keys.nodeIds, keys.node(node)], [node]);
  }
}

export function toMs([seconds, microseconds]: (number | string)[]): number {
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
}

interface Reading {
  parse(value: unknown): NodeReport | null;
  now: number;
}

function parsePresence(node: string, text: string | null, { parse, now }: Reading): NodePresence | null {
  const [seen, , , json] = text?.split('\n') ?? [];
  if (seen === undefined || json === undefined) return null;
  const report = parse(parseJson(json));
  const seenAt = Number(seen);
  // The key says whose presence it is: an edge may write its own only, and anything into it.
  return report?.node === node ? { report, seenAt, live: now - seenAt <= nodeLostAfterMs } : null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
