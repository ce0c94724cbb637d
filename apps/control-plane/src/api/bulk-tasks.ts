import { setTimeout as delay } from 'node:timers/promises';
import { AppError, maxBodyBytes, type PutRoute } from '@lockstep/contract';
import { toAppError } from '../validation/any-error.ts';
import { invalidField } from '../validation/invalid-field.ts';
import { parseJson } from './json-body.ts';
import { type NdjsonLine, ndjsonLines } from './ndjson-lines.ts';

export const mostLines = 100_000;
/** Of one commit: with the orders of their hosts they stay below what one may carry. */
export const mostTogether = 50;
const gatherMs = 5;
const mostRecordsTogether = 350;
const mostBytesTogether = 300_000;

/** What is to be done for a line. */
export interface BulkTask {
  line: number;
  id: string | null;
  /** Null: it is deleted. */
  body: PutRoute | null;
  error: AppError | null;
  bytes: number;
}

export type ReadLine = (input: unknown) => { id: string; body: PutRoute | null };

/** The lines of a stream, those together that came together. */
export function bulkLines(body: AsyncIterable<Buffer>): AsyncGenerator<NdjsonLine[], void> {
  return gathered(ndjsonLines(body, maxBodyBytes));
}

/** Lines that come in small pieces, one close upon another, are made together all the same. */
async function* gathered(pieces: AsyncGenerator<NdjsonLine[], void>): AsyncGenerator<NdjsonLine[], void> {
  let next = ask();
  for (let last = await next; last.done !== true; last = await next) {
    const lines = [...last.value];
    next = ask();
    while (lines.length < mostTogether) {
      const more = await Promise.race([next, delay(gatherMs, null)]);
      if (more === null || more.done === true) break;
      lines.push(...more.value);
      next = ask();
    }
    yield lines;
  }

  /** Asked for ahead: a caller who goes away does so while lines are worked on, or when nobody waits for more. */
  function ask() {
    const asked = pieces.next();
    asked.catch(() => {});
    return asked;
  }
}

function toTask({ line, text }: NdjsonLine, read: ReadLine): BulkTask {
  const refused = (error: AppError, id: string | null = null): BulkTask => ({
    line,
    id,
    body: null,
    error,
    bytes: 0,
  });
  if (line > mostLines)
    return refused(new AppError('payload_too_large', `a request has at most ${mostLines} lines`));
  if (text === null) return refused(invalidField('', 'is longer than 1 MiB, or no UTF-8: send it by itself'));
  let input: unknown;
  try {
    input = parseJson(text);
    return { line, ...read(input), error: null, bytes: text.length };
  } catch (error) {
    const { id } = Object(input) as { id?: unknown };
    return refused(toAppError(error), typeof id === 'string' ? id.slice(0, 128) : null);
  }
}

/** The first lines, from `from` on, that can be one commit: of different routes, and no more than `most`. No line is read before its turn. */
export function takeTogether(
  lines: readonly NdjsonLine[],
  from: number,
  most: number,
  read: ReadLine,
): BulkTask[] {
  const tasks: BulkTask[] = [];
  const ids = new Set<string>();
  let records = 0;
  let bytes = 0;
  for (const line of lines.slice(from, from + Math.min(most, mostTogether))) {
    const task = toTask(line, read);
    records += 1 + 2 * (task.body?.hosts.length ?? 1);
    bytes += task.bytes;
    const full = records > mostRecordsTogether || bytes > mostBytesTogether;
    if (tasks.length > 0 && (full || (task.id !== null && ids.has(task.id)))) break;
    tasks.push(task);
    if (task.id !== null) ids.add(task.id);
  }
  return tasks;
}
