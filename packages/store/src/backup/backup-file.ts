import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { AppError, type Kind, kinds, type Position, type Turn } from '@lockstep/contract';

/** One record as a store keeps it. A later row for the same record replaces an earlier one. */
export interface BackupRow {
  kind: Kind;
  id: string;
  /** Null: it was deleted while the backup was taken. */
  record: { revision: number; claims: string[]; due: number | null; value: unknown } | null;
}

/** What a dump ends with: all rows together are the store as it stood at `position`. */
export interface BackupEnd {
  position: Position;
  turns: Turn[];
}

export type Dump = AsyncGenerator<BackupRow, BackupEnd>;

/** A backup that was read to its end and found whole. */
export interface Backup extends BackupEnd {
  records: number;
  /** The records, each once. */
  rows(): AsyncGenerator<BackupRow & { record: NonNullable<BackupRow['record']> }>;
}

interface LastLine extends BackupEnd {
  records: number;
  sha256: string;
}

const format = 2;

/**
 * Writes a dump as lines of JSON, the last of which says where it stands and holds the digest of those before. The file takes
 * its name when it is whole. Throws `bad_configuration` when it cannot be written.
 */
export async function writeBackup(
  path: string,
  dump: Dump,
): Promise<{ records: number; position: Position }> {
  const part = `${path}.part`;
  const file = await open(part, 'w', 0o600).catch((cause) => {
    throw new AppError('bad_configuration', `the backup "${path}" cannot be written`, { cause });
  });
  try {
    const digest = createHash('sha256');
    const put = async (line: string) => {
      digest.update(line);
      await file.appendFile(line);
    };
    await put(`${JSON.stringify({ lockstep: 'backup', format })}\n`);
    const present = new Set<string>();
    let step = await dump.next();
    for (; !step.done; step = await dump.next()) {
      const { kind, id, record } = step.value;
      if (record === null) present.delete(`${kind}/${id}`);
      else present.add(`${kind}/${id}`);
      await put(`${JSON.stringify(step.value)}\n`);
    }
    const end = { end: true, ...step.value, records: present.size, sha256: digest.digest('hex') };
    await file.appendFile(`${JSON.stringify(end)}\n`);
    await file.sync();
    await file.close();
    await rename(part, path);
    return { records: present.size, position: step.value.position };
  } catch (error) {
    await file.close().catch(() => {});
    await rm(part, { force: true });
    throw error;
  }
}

/** Throws `bad_configuration` for a file that is no backup, or not a whole one. */
export async function readBackup(path: string): Promise<Backup> {
  const digest = createHash('sha256');
  /** Where each record stands last. */
  const last = new Map<string, number>();
  let end: LastLine | null = null as LastLine | null;
  let number = 0;
  for await (const line of linesOf(path)) {
    if (end !== null) throw damaged(path);
    const value = parse(line, path);
    if (number === 0 && (value.lockstep !== 'backup' || value.format !== format)) {
      throw new AppError('bad_configuration', `"${path}" is no backup of this version of Lockstep`);
    }
    if (value.end === true) end = value as unknown as LastLine;
    else {
      digest.update(`${line}\n`);
      if (number > 0) noteRow(value);
    }
    number += 1;
  }
  if (end === null || digest.digest('hex') !== end.sha256 || last.size !== end.records) throw damaged(path);

  return {
    position: end.position,
    turns: end.turns,
    records: end.records,
    async *rows() {
      let at = 0;
      for await (const line of linesOf(path)) {
        const row = at === 0 ? null : parse(line, path);
        if (row !== null && row.end !== true && last.get(`${row.kind}/${row.id}`) === at) yield row as never;
        at += 1;
      }
    },
  };

  function noteRow(row: Record<string, unknown>): void {
    if (!kinds.includes(row.kind as Kind)) throw damaged(path);
    const key = `${row.kind}/${row.id}`;
    if (row.record === null) last.delete(key);
    else last.set(key, number);
  }
}

async function* linesOf(path: string): AsyncGenerator<string> {
  const stream = createReadStream(path);
  try {
    yield* createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
  } catch (cause) {
    throw new AppError('bad_configuration', `the backup "${path}" cannot be read`, { cause });
  } finally {
    stream.destroy();
  }
}

function parse(line: string, path: string): Record<string, unknown> {
  try {
    const value = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // said below
  }
  throw damaged(path);
}

function damaged(path: string): AppError {
  return new AppError('bad_configuration', `the backup "${path}" is damaged, or not a whole one`);
}
