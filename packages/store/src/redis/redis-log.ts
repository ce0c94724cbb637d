import { AppError, type LogEntry, type Position } from '@lockstep/contract';
import { parseLogged } from '../prepared-commit.ts';
import type { RedisCommands } from './redis-commands.ts';
import type { RedisKeys } from './redis-keys.ts';

export function createRedisLog({ run }: RedisCommands, keys: RedisKeys) {
  return { head, readAfter };

  async function head(): Promise<Position> {
    const meta = await run((redis) => redis.hmget(keys.meta, 'epoch', 'number', 'commitId'));
    const [epoch, number, commitId] = meta;
    if (epoch == null) throw new AppError('store_lost', 'the store holds no history; it is new or was wiped');
    return { epoch, number: Number(number ?? 0), commitId: commitId ?? '' };
  }

  /**
   * As `ConfigStore.readLog`. Head and entries are two reads, sent together: each entry names its predecessor, so entries of
   * another history cannot pass for a continuation.
   */
  async function readAfter(after: Position, limit: number): Promise<LogEntry[] | null> {
    const [{ epoch, number, commitId }, entries] = await Promise.all([
      head(),
      run((redis) => redis.xrange(keys.log, `(${after.number}-0`, '+', 'COUNT', limit)),
    ]);
    if (after.epoch !== epoch || after.number > number) return null;
    if (after.number === number && after.commitId !== commitId) return null;
    const found = entries.map((entry) => parseEntry(epoch, entry));
    const first = found[0];
    if (first === undefined) return after.number === number ? [] : null;
    const continues =
      first.position.number === after.number + 1 && (first.previousCommitId ?? '') === after.commitId;
    return continues ? found : null;
  }
}

function parseEntry(epoch: string, [streamId, fields]: [string, string[]]): LogEntry {
  const [, commitId = '', , previous = '', , changes = '[]'] = fields;
  return toEntry(epoch, Number.parseInt(streamId, 10), commitId, previous, changes);
}

/** Reads what the commit script publishes. */
export function parseAnnouncement(message: string): LogEntry {
  const [epoch = '', number, commitId = '', previous = '', changes = '[]'] = message.split('\n');
  return toEntry(epoch, Number(number), commitId, previous, changes);
}

function toEntry(
  epoch: string,
  number: number,
  commitId: string,
  previous: string,
  changes: string,
): LogEntry {
  return {
    position: { epoch, number, commitId },
    previousCommitId: previous === '' ? null : previous,
    changes: parseLogged(changes),
  };
}
