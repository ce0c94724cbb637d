import { AppError, type Audience, type CommitOrigin, type LogEntry, type Position } from '@lockstep/contract';
import type { Redis } from 'ioredis';
import type { RareLog } from '../interface/rare-log.ts';
import { parseLogged, parseOrigin } from '../rules/prepared-commit.ts';
import type { RedisCommands } from './redis-commands.ts';
import { layout, type RedisKeys } from './redis-keys.ts';
import { countWithin } from './redis-scan.ts';

/** Of `meta`, what `toPosition` takes. */
export const headFields = ['epoch', 'number', 'commitId', 'layout'];

export type RedisLog = ReturnType<typeof createRedisLog>;

/** The log as the audience sees it: each has one of its own. */
export function createRedisLog(
  { run }: Pick<RedisCommands, 'run'>,
  keys: RedisKeys,
  warn: RareLog,
  audience: Audience,
) {
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
    const notes = noted.map((note) => readNote(note, audience));
    const count = countWithin(notes.map((note) => note?.bytes ?? 0));
    const entries = await run((redis) =>
      redis.xrange(keys[audience].log, `(${after.number}-0`, '+', 'COUNT', count),
    );
    const found: LogEntry[] = [];
    for (const [streamId, fields] of entries) {
      const named = namedFields(fields);
      const entry = parseEntry(audience, epoch, streamId, named);
      // The history notes id and size of each entry: one that was cut short, or is another's, is noticed too.
      const note = entry === null ? null : notes[entry.position.number - after.number - 1];
      const bytes = Buffer.byteLength(named.get('changes') ?? '');
      if (entry === null || (note != null && (note.id !== named.get('id') || note.bytes !== bytes))) {
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

/** Throws `store_lost` where there is no history, or none that can be read, and `bad_configuration` for the keys of another revision. */
export function toPosition([epoch, number, commitId, laidOut]: (string | null | undefined)[]): Position {
  if (!epoch) throw new AppError('store_lost', 'the store holds no history; it is new or was wiped');
  refuseOtherLayout(laidOut);
  if (!/^\d{1,15}$/.test(number ?? '0')) {
    throw new AppError('store_lost', 'the history of the store is damaged: its latest revision is no number');
  }
  return { epoch, number: Number(number ?? 0), commitId: commitId ?? '' };
}

/** Throws `bad_configuration` for a store whose keys another revision laid out. */
export function refuseOtherLayout(laidOut: string | null | undefined): void {
  if (laidOut === layout) return;
  const made = laidOut == null ? 'an earlier' : 'another';
  throw new AppError(
    'bad_configuration',
    `the store was made by ${made} revision of Lockstep, of which nothing is carried over; begin with an empty one: another --store-prefix, or another Redis`,
  );
}

function readNote(text: string | null, audience: Audience): { id: string; bytes: number } | null {
  if (text === null) return null;
  const [id = '', control, edge] = text.split(' ');
  return { id, bytes: Number((audience === 'control' ? control : edge) ?? 0) };
}

/** The fields of a stream's entry. */
export function namedFields(fields: string[]): Map<string, string> {
  const named = new Map<string, string>();
  for (let at = 0; at + 1 < fields.length; at += 2) named.set(fields[at]!, fields[at + 1]!);
  return named;
}

function parseEntry(
  audience: Audience,
  epoch: string,
  streamId: string,
  named: Map<string, string>,
): LogEntry | null {
  const number = /^(\d{1,15})-0$/.exec(streamId)?.[1];
  const [id, previous, origin, changes] = ['id', 'previous', 'origin', 'changes'].map((name) =>
    named.get(name),
  );
  return toEntry(audience, { epoch, number, id, previous, origin, changes });
}

/** Reads what the commit script publishes to the audience; null for anything else. */
export function parseAnnouncement(audience: Audience, message: string): LogEntry | null {
  const [epoch = '', number, id, previous, ...more] = message.split('\n');
  const [changes, origin, ...surplus] = more.reverse();
  if (surplus.length > 0) return null;
  return toEntry(audience, { epoch, number, id, previous, origin, changes });
}

interface EntryText {
  epoch: string;
  number: string | undefined;
  id: string | undefined;
  previous: string | undefined;
  origin: string | undefined;
  changes: string | undefined;
}

function toEntry(audience: Audience, text: EntryText): LogEntry | null {
  const { epoch, number, id: commitId, previous } = text;
  if (epoch === '' || !commitId || previous === undefined || text.changes === undefined) return null;
  if (!/^\d{1,15}$/.test(number ?? '')) return null;
  const origin = readOrigin(audience, text.origin);
  const changes = parseLogged(text.changes);
  if (origin === null || changes === null) return null;
  return {
    position: { epoch, number: Number(number), commitId },
    previousCommitId: previous === '' ? null : previous,
    ...origin,
    changes,
  };
}

/** Edges are told none. */
function readOrigin(audience: Audience, text: string | undefined): Partial<CommitOrigin> | null {
  if (audience === 'edge') return text === undefined ? {} : null;
  return parseOrigin(text ?? '');
}
