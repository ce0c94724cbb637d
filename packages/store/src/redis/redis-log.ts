import { AppError, type LogEntry, type Position } from '@lockstep/contract';
import type { Redis } from 'ioredis';
import { parseLogged, parseOrigin } from '../prepared-commit.ts';
import type { RareLog } from '../rare-log.ts';
import type { RedisCommands } from './redis-commands.ts';
import type { RedisKeys } from './redis-keys.ts';
import { countWithin } from './redis-scan.ts';

/** Of `meta`, what `toPosition` takes. */
export const headFields = ['epoch', 'number', 'commitId'];

export type RedisLog = ReturnType<typeof createRedisLog>;

export function createRedisLog({ run }: Pick<RedisCommands, 'run'>, keys: RedisKeys, warn: RareLog) {
  return { head, readAfter };

  async function head(): Promise<Position> {
    return toPosition(await run((redis) => redis.hmget(keys.meta, ...headFields)));
  }

  /**
   * As `ConfigStore.readLog`, and no more than a page of bytes. Head and entries are two reads: each entry names its predecessor, so
   * entries of another history cannot pass for a continuation. One that cannot be read ends what the log gives, and where it is the next
   * one, the log does not continue: a snapshot goes past it.
   */
  async function readAfter(after: Position, limit: number): Promise<LogEntry[] | null> {
    const numbers = Array.from({ length: limit }, (_, index) => String(after.number + 1 + index));
    const [{ epoch, number, commitId }, noted] = await Promise.all([
      head(),
      run((redis) => redis.hmget(keys.history, ...numbers)),
    ]);
    if (after.epoch !== epoch || after.number > number) return null;
    if (after.number === number) return after.commitId === commitId ? [] : null;
    const count = countWithin(noted.map((entry) => Number(entry?.split(' ')[1] ?? 0)));
    const entries = await run((redis) => redis.xrange(keys.log, `(${after.number}-0`, '+', 'COUNT', count));
    const found: LogEntry[] = [];
    for (const [streamId, fields] of entries) {
      const named = namedFields(fields);
      const entry = parseEntry(epoch, streamId, named);
      // The history notes id and size of each entry: one that was cut short, or is another's, is noticed too.
      const note = entry === null ? null : noted[entry.position.number - after.number - 1];
      const said = `${named.get('id')} ${Buffer.byteLength(named.get('changes') ?? '')}`;
      if (entry === null || (note != null && note !== said)) {
        warn(
          'log',
          { entry: streamId },
          'an entry of the change log cannot be read; a snapshot goes past it',
        );
        break;
      }
      const before = found.at(-1)?.position ?? after;
      if (entry.position.number !== before.number + 1) break;
      if ((entry.previousCommitId ?? '') !== before.commitId) break;
      found.push(entry);
    }
    return found.length === 0 ? null : found;
  }
}

/** The head as one connection sees it; null where it does not say (a server of a Cluster that does not hold the keys). */
export async function readHeadOn(connection: Redis, keys: RedisKeys): Promise<Position | null> {
  try {
    return toPosition(await connection.hmget(keys.meta, ...headFields));
  } catch (error) {
    if (error instanceof AppError) return null;
    if (error instanceof Error && /^(MOVED|ASK|NOPERM)\b/.test(error.message)) return null;
    throw error;
  }
}

/** Throws `store_lost` where there is no history, or none that can be read. */
export function toPosition([epoch, number, commitId]: (string | null | undefined)[]): Position {
  if (!epoch) throw new AppError('store_lost', 'the store holds no history; it is new or was wiped');
  if (!/^\d{1,15}$/.test(number ?? '0')) {
    throw new AppError('store_lost', 'the history of the store is damaged: its latest revision is no number');
  }
  return { epoch, number: Number(number ?? 0), commitId: commitId ?? '' };
}

/** The fields of a stream's entry. */
export function namedFields(fields: string[]): Map<string, string> {
  const named = new Map<string, string>();
  for (let at = 0; at + 1 < fields.length; at += 2) named.set(fields[at]!, fields[at + 1]!);
  return named;
}

function parseEntry(epoch: string, streamId: string, named: Map<string, string>): LogEntry | null {
  const number = /^(\d{1,15})-0$/.exec(streamId)?.[1];
  return toEntry(
    epoch,
    number,
    named.get('id'),
    named.get('previous'),
    named.get('origin'),
    named.get('changes'),
  );
}

/** Reads what the commit script publishes; null for anything else. */
export function parseAnnouncement(message: string): LogEntry | null {
  const [epoch = '', number, commitId, previous, origin, changes, ...more] = message.split('\n');
  return more.length > 0 ? null : toEntry(epoch, number, commitId, previous, origin, changes);
}

function toEntry(
  epoch: string,
  number: string | undefined,
  commitId: string | undefined,
  previous: string | undefined,
  from: string | undefined,
  logged: string | undefined,
): LogEntry | null {
  if (epoch === '' || !commitId || previous === undefined || logged === undefined) return null;
  if (!/^\d{1,15}$/.test(number ?? '')) return null;
  const origin = parseOrigin(from ?? '');
  const changes = parseLogged(logged);
  if (origin === null || changes === null) return null;
  return {
    position: { epoch, number: Number(number), commitId },
    previousCommitId: previous === '' ? null : previous,
    ...origin,
    changes,
  };
}
