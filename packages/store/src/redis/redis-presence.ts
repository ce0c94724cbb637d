import {
  isAppError,
  type NodePresence,
  type NodeReport,
  nodeIdPattern,
  nodeLostAfterMs,
  type Standing,
} from '@lockstep/contract';
import type { Redis } from 'ioredis';
import type { StoreLog } from '../interface/log.ts';
import type { RareLog } from '../interface/rare-log.ts';
import { isLive, isTaken, nodeIdTaken } from '../rules/node-presence.ts';
import { type RedisCommands, readScript } from './redis-commands.ts';
import type { RedisHistory } from './redis-history.ts';
import type { RedisKeys } from './redis-keys.ts';
import { pipelined } from './redis-pipeline.ts';
import type { RedisSubscriber } from './redis-subscriber.ts';
import { toMs } from './redis-time.ts';

const forgetNode = readScript('forget-node.lua');

/**
 * How long a presence lives in Redis. What is left of that tells when it was written, by the store's own clock: no node can date
 * itself. Control planes forget nodes much earlier.
 */
const keptMs = 400 * 86_400_000;
/** A report with as many refusals as a node can have is far below this. What is longer is not read to its end. */
const maxReportBytes = 1_048_576;
/** Announced names that wait to be looked at; an edge may announce whatever it likes. */
const maxAnnounced = 10_000;

/**
 * The presence of nodes, one key each, which the node itself writes with plain commands, so that its Redis user needs no right
 * to run scripts (see docs/install-an-edge.md). Everything it writes is a claim: whoever reads takes of a key what can be
 * read and names its own node, dates it by the time it has left to live, and compares its position with the history. What is
 * published is the name of the node alone. Control planes keep the list of nodes.
 */
export function createRedisPresence(
  { run, runScript }: RedisCommands,
  subscriber: RedisSubscriber,
  keys: RedisKeys,
  history: RedisHistory,
  log: StoreLog,
  warn: RareLog,
) {
  const announced = new Set<string>();
  /** As of the last list, and who was added since. */
  let enlisted = new Set<string>();
  let listening = false;
  /** The nodes of the last list, and the epoch it was of; null before the first, and once the store was found wiped. */
  let last = new Map<string, NodePresence>();
  let listedIn: string | null = null;
  /** By instances that report here: whose presence their first report took the place of. */
  const replaced = new Map<string, string>();

  return { report, remove, forget, list, watch, enlistAgain };

  async function report(report: NodeReport): Promise<void> {
    const { node, instance } = report;
    const known = await readOwn(node);
    const other = known?.live && known.report.instance !== instance ? known.report.instance : null;
    // One that was replaced and reports again is alive: its home was copied, and this is the copy.
    if (isTaken(known, report) || (other !== null && other === replaced.get(instance)))
      throw nodeIdTaken(node);
    if (!replaced.has(instance)) replaced.set(instance, other ?? '');
    await write(node, { report, stopped: false });
    if (history.epoch !== null) await enlist(node);
  }

  async function remove(node: string, instance: string, { returns }: { returns: boolean }): Promise<void> {
    const known = await readOwn(node);
    if (known?.report.instance !== instance) return;
    if (returns) return write(node, { report: known.report, stopped: true });
    await run((redis) =>
      pipelined(redis, (pipeline) => pipeline.del(keys.node(node)).publish(keys.nodesChannel, node)),
    );
  }

  async function forget(node: string): Promise<boolean> {
    last.delete(node);
    const gone = await runScript(
      forgetNode,
      [keys.nodeIds, keys.node(node)],
      [node, 'present', keys.nodesChannel],
    );
    return gone === 1;
  }

  async function list(): Promise<NodePresence[]> {
    listen();
    const wiped = !(await hasHistory());
    if (wiped) listedIn = null;
    else if (listedIn !== history.epoch) await putBack();
    const listed = await run((redis) => redis.zrange(keys.nodeIds, '0', '-1'));
    enlisted = new Set(listed);
    const fresh = [...announced].filter((node) => !listed.includes(node));
    announced.clear();
    const nodes = [...listed, ...fresh];
    const found = await read(nodes);
    nodes.forEach((node, index) => {
      if (index < listed.length) {
        if (found[index] === null)
          runScript(forgetNode, [keys.nodeIds, keys.node(node)], [node, 'absent', '']).catch(() => {});
      } else if (found[index] !== null) {
        enlist(node).catch(() => {}); // it announces itself again
      }
    });
    const present = found.filter((presence) => presence !== null);
    if (!wiped) {
      listedIn = history.epoch;
      last = new Map(present.map((presence) => [presence.report.node, presence]));
    }
    return present.sort((one, other) => (one.report.node < other.report.node ? -1 : 1));
  }

  /** Compared with what this process knows: one that went back turns by this. */
  async function hasHistory(): Promise<boolean> {
    if (history.epoch === null) return true;
    try {
      await history.standingOf([]);
      return true;
    } catch (error) {
      if (isAppError(error, 'store_lost')) return false;
      throw error;
    }
  }

  /** A store that was wiped or went back may lack nodes, which have not left for that: they are lost until they report. */
  async function putBack(): Promise<void> {
    const now = await history.now();
    for (const [node, { report, stopped, seenAt }] of last) {
      const leftMs = Math.round(keptMs - (now - seenAt));
      if (leftMs <= 0) continue;
      const value = JSON.stringify({ report, stopped });
      await run((redis) => redis.set(keys.node(node), value, 'PX', Math.min(leftMs, keptMs), 'NX'));
      await enlist(node);
    }
  }

  function watch(listener: (presence: NodePresence | null) => void): () => void {
    const waiting = new Set<string>();
    let reading = false;
    return subscriber.on(keys.nodesChannel, (node) => {
      if (node === null) return listener(null);
      if (!nodeIdPattern.test(node) || waiting.size >= maxAnnounced) return;
      waiting.add(node);
      if (!reading) void readWaiting();
    });

    /** Those that are announced meanwhile are read together. */
    async function readWaiting(): Promise<void> {
      reading = true;
      try {
        while (waiting.size > 0) {
          const nodes = [...waiting];
          waiting.clear();
          for (const presence of await read(nodes)) {
            // Before anything is said of it: a control plane that is killed now would leave the next one without it.
            if (presence !== null && !enlisted.has(presence.report.node)) {
              await enlist(presence.report.node);
              enlisted.add(presence.report.node);
            }
            tell(presence);
          }
        }
      } catch {
        // a hint: the next list tells
      } finally {
        reading = false;
      }
    }

    function tell(presence: NodePresence | null): void {
      try {
        listener(presence);
      } catch (error) {
        log.warn({ err: error }, 'a listener for nodes failed');
      }
    }
  }

  function write(node: string, value: { report: NodeReport; stopped: boolean }): Promise<void> {
    return run(async (redis) => {
      await pipelined(redis, (pipeline) =>
        pipeline.set(keys.node(node), JSON.stringify(value), 'PX', keptMs).publish(keys.nodesChannel, node),
      );
    });
  }

  /** Done by control planes alone: for themselves, and for whoever is announced. */
  function enlist(node: string): Promise<unknown> {
    return run((redis) => redis.zadd(keys.nodeIds, '0', node));
  }

  /** Where the list was lost: those that it held when it was read last. Others are heard of by their next report. */
  async function enlistAgain(): Promise<void> {
    for (const node of enlisted) await enlist(node);
  }

  /** From the first list on, so that an edge that is in none is heard of by its next report. */
  function listen(): void {
    if (listening) return;
    listening = true;
    subscriber.on(keys.nodesChannel, (node) => {
      if (node !== null && nodeIdPattern.test(node) && announced.size < maxAnnounced) announced.add(node);
    });
  }

  /** What this node wrote itself, which needs no check of its form. */
  async function readOwn(node: string): Promise<Pick<NodePresence, 'live' | 'report'> | null> {
    const [text, left] = await run((redis) =>
      pipelined(redis, (pipeline) => readKey(pipeline, keys.node(node)), { orNull: true }),
    );
    const value = parseValue(String(text), (report) => report as NodeReport | null);
    return value?.report.node === node
      ? { report: value.report, live: isLive(ageOf(Number(left)), value.stopped) }
      : null;
  }

  async function read(nodes: string[]): Promise<(NodePresence | null)[]> {
    if (nodes.length === 0) return [];
    // The positions before the head that they are compared with.
    const [[time, ...values], { NodeReport }] = await Promise.all([
      run((redis) =>
        pipelined(
          redis,
          (pipeline) => {
            pipeline.time();
            for (const node of nodes) readKey(pipeline, keys.node(node));
          },
          { orNull: true },
        ),
      ),
      import('@lockstep/contract/schemas'), // here, because edges report and do not read: they load no schemas
    ]);
    const parse = (report: unknown) => NodeReport.safeParse(report).data ?? null;
    const now = toMs(time as string[]);
    const found = nodes.map((node, index) => {
      const text = values[2 * index];
      const value = parseValue(String(text), parse);
      if (value === null && text !== '')
        warn('presence', { node }, 'what a node says of itself cannot be read; its next report replaces it');
      // The key says whose presence it is: an edge may write its own only, and anything into it.
      if (value?.report.node !== node) return null;
      const ageMs = ageOf(Number(values[2 * index + 1]));
      return { ...value, seenAt: now - ageMs, live: isLive(ageMs, value.stopped), standing: null };
    });
    return judge(found);
  }

  async function judge(found: (NodePresence | null)[]): Promise<(NodePresence | null)[]> {
    const applied = found.flatMap((presence) => presence?.report.applied ?? []);
    if (applied.length === 0) return found;
    const standings = await history.standingOf(applied).catch(() => null);
    return found.map((presence) => {
      if (presence === null || presence.report.applied === null) return presence;
      // Without a history nobody stands on it.
      const standing: Standing = standings?.[applied.indexOf(presence.report.applied)] ?? 'apart';
      return { ...presence, standing };
    });
  }
}

function readKey<P extends ReturnType<Redis['pipeline']>>(pipeline: P, key: string) {
  return pipeline.getrange(key, 0, maxReportBytes - 1).pttl(key);
}

/**
 * More than a presence is given, or no end at all, would be a date to come: it counts as lost. The clocks of two servers differ
 * a little.
 */
function ageOf(leftMs: number): number {
  const dated = leftMs >= 0 && leftMs <= keptMs + nodeLostAfterMs;
  return dated ? Math.max(keptMs - leftMs, 0) : nodeLostAfterMs + 1;
}

function parseValue(
  text: string,
  parse: (report: unknown) => NodeReport | null,
): { report: NodeReport; stopped: boolean } | null {
  try {
    const value = JSON.parse(text);
    const report = parse(value?.report ?? null);
    return report === null ? null : { report, stopped: value.stopped === true };
  } catch {
    return null;
  }
}
