import { randomUUID } from 'node:crypto';
import { AppError, type Kind, kinds, type Position, recordKey, type Turn } from '@lockstep/contract';
import { silentLog } from '../interface/log.ts';
import { createRareLog } from '../interface/rare-log.ts';
import { createRedisCommands, type RedisCommands } from '../redis/redis-commands.ts';
import { createRedisHistory, formatTurn } from '../redis/redis-history.ts';
import { createRedisKeys, layout, type RedisKeys } from '../redis/redis-keys.ts';
import { createRedisLog, headFields, toPosition } from '../redis/redis-log.ts';
import { pipelined } from '../redis/redis-pipeline.ts';
import { countWithin } from '../redis/redis-scan.ts';
import { toMs } from '../redis/redis-time.ts';
import { parseStoreUrl } from '../redis/store-url.ts';
import { splitKey } from '../rules/prepared-commit.ts';
import type { Backup, BackupRow, Dump } from './backup-file.ts';

export interface RedisPlace {
  url: string;
  prefix: string;
}

const keysAtOnce = 500;
/** Each is a few milliseconds; who commits so often that none of them is without another commit takes his backups at another time. */
const mostRounds = 2_000;

/**
 * Every record of a store that is in use meanwhile: all are read, then those that changed meanwhile, until a read finds that nothing
 * has changed since. Throws `store_lost` without a history, `store_unavailable` when Redis cannot be reached, or the history goes back.
 */
export async function* dumpRedis({ url, prefix }: RedisPlace): Dump {
  const { commands, keys } = connect({ url, prefix });
  const changeLog = createRedisLog(commands, keys, createRareLog(silentLog), 'control');
  try {
    let at = await changeLog.head();
    for (const kind of kinds) {
      for (let cursor: string | null = ''; cursor !== null; ) {
        const page = await readPage(commands, keys, kind, cursor);
        yield* page.rows;
        cursor = page.next;
      }
    }
    for (let round = 0; round < mostRounds; round += 1) {
      const entries = await changeLog.readAfter(at, 100);
      if (entries === null)
        throw new AppError('store_unavailable', 'the history went on without this backup; take it again');
      const changed = [
        ...new Set(entries.flatMap(({ changes }) => changes.map(({ kind, id }) => recordKey(kind, id)))),
      ];
      const { head, rows } = await readTogether(commands, keys, changed);
      yield* rows;
      at = entries.at(-1)?.position ?? at;
      if (head.epoch === at.epoch && head.commitId === at.commitId) {
        const { listTurns } = createRedisHistory(commands, keys, changeLog, silentLog);
        return { position: at, turns: await listTurns() };
      }
    }
    throw new AppError(
      'store_unavailable',
      'the store is written to without a pause; take the backup at another time',
    );
  } finally {
    commands.close();
  }
}

/**
 * Fills an empty store, in a new epoch that follows the backup's. Throws `wrong_state` for a store that holds a history. Broken off,
 * it leaves a store that no control plane opens, and that the next attempt fills anew.
 */
export async function fillRedis({ url, prefix }: RedisPlace, backup: Backup): Promise<Position> {
  const { commands, keys } = connect({ url, prefix });
  const { run } = commands;
  try {
    const [epoch] = await run((redis) => redis.hmget(keys.meta, 'epoch'));
    if (epoch !== null) {
      throw new AppError('wrong_state', 'the store holds a history; a backup is put into an empty one only');
    }
    await run((redis) => redis.hset(keys.meta, 'restoring', '1'));
    const { claims, claimIndex, history, turns, journal, events } = keys;
    const leftovers = [keys.control, keys.edge].flatMap(({ records, ids, log }) => [records, ids, log]);
    await run((redis) =>
      redis.del(...leftovers, claims, claimIndex, history, turns, journal, events, ...keys.allDue),
    );
    for await (const batch of batches(backup)) {
      await run((redis) =>
        pipelined(redis, (pipeline) => {
          for (const { kind, id, record } of batch) {
            const key = recordKey(kind, id);
            const { revision, claims, due, value } = record;
            pipeline.hset(
              keys.of(kind).records,
              key,
              `${revision}${due === null ? '' : ` ${due}`}\n${JSON.stringify(claims)}\n${JSON.stringify(value)}`,
            );
            pipeline.zadd(keys.of(kind).ids, '0', key);
            for (const claim of claims)
              pipeline.hset(keys.claims, claim, key).zadd(keys.claimIndex, '0', claim);
            if (due !== null) pipeline.zadd(keys.due(kind), String(due), key);
          }
        }),
      );
    }
    const begun = randomUUID();
    const position = { epoch: begun, number: backup.position.number + 1, commitId: begun };
    const at = toMs(await run((redis) => redis.time()));
    const turn: Turn = { at, reason: 'restored', epoch: begun, kept: backup.position, lost: null };
    await run(async (redis) => {
      const all = redis.multi();
      all.hset(keys.history, String(position.number), `${begun} 0`);
      all.rpush(keys.turns, ...[...backup.turns, turn].map(formatTurn));
      all.hset(keys.meta, { layout, epoch: begun, number: String(position.number), commitId: begun });
      all.hdel(keys.meta, 'restoring');
      await all.exec();
    });
    return position;
  } finally {
    commands.close();
  }
}

function connect({ url, prefix }: RedisPlace): { commands: RedisCommands; keys: RedisKeys } {
  return { commands: createRedisCommands(parseStoreUrl(url), silentLog), keys: createRedisKeys(prefix) };
}

async function readPage(
  { run }: RedisCommands,
  keys: RedisKeys,
  kind: Kind,
  cursor: string,
): Promise<{ rows: BackupRow[]; next: string | null }> {
  const found = await run((redis) =>
    redis.zrangebylex(keys.of(kind).ids, `(${kind}/${cursor}`, `(${kind}0`, 'LIMIT', 0, keysAtOnce),
  );
  if (found.length === 0) return { rows: [], next: null };
  const sizes = await run((redis) =>
    pipelined(redis, (pipeline) => {
      for (const key of found) pipeline.hstrlen(keys.of(kind).records, key);
    }),
  );
  const page = found.slice(0, countWithin(sizes as number[]));
  const answers = await run((redis) =>
    pipelined(redis, (pipeline) => {
      for (const key of page) pipeline.hget(keys.of(kind).records, key).zscore(keys.due(kind), key);
    }),
  );
  return {
    rows: toRows(page, answers).filter(({ record }) => record !== null),
    next: splitKey(page.at(-1)!).id,
  };
}

/** The records of `changed` and the head, as they stand at one moment. */
async function readTogether(
  { run }: RedisCommands,
  keys: RedisKeys,
  changed: string[],
): Promise<{ head: Position; rows: BackupRow[] }> {
  const [meta, ...answers] = await run(async (redis) => {
    const all = redis.multi().hmget(keys.meta, ...headFields);
    for (const key of changed) {
      const { kind } = splitKey(key);
      all.hget(keys.of(kind).records, key).zscore(keys.due(kind), key);
    }
    const results = (await all.exec()) ?? [];
    return results.map(([error, answer]) => {
      if (error !== null) throw error;
      return answer;
    });
  });
  return { head: toPosition(meta as string[]), rows: toRows(changed, answers) };
}

function toRows(recordKeys: string[], answers: unknown[]): BackupRow[] {
  return recordKeys.map((key, index) =>
    toRow(key, answers[2 * index] as string | null, answers[2 * index + 1] as string | null),
  );
}

function toRow(key: string, text: string | null, due: string | null): BackupRow {
  if (text === null) return { ...splitKey(key), record: null };
  const [, revision, claims, value] = /^(\d+)[ \d]*\n([^\n]*)\n(.*)$/s.exec(text) ?? [];
  try {
    return {
      ...splitKey(key),
      record: {
        revision: Number(revision),
        claims: JSON.parse(claims!),
        due: due === null ? null : Number(due),
        value: JSON.parse(value!),
      },
    };
  } catch (cause) {
    throw new AppError('wrong_state', `the record ${key} of the store cannot be read; delete it first`, {
      cause,
    });
  }
}

async function* batches(backup: Backup) {
  let batch = [];
  let bytes = 0;
  for await (const row of backup.rows()) {
    batch.push(row);
    bytes += JSON.stringify(row.record.value).length;
    if (batch.length < keysAtOnce && bytes < 1_048_576) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}
