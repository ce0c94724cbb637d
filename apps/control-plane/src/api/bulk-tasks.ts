import { setTimeout as delay } from 'node:timers/promises';
import { AppError, maxBodyBytes, type PutRoute } from '@lockstep/contract';
import { toAppError } from '../validation/any-error.ts';
import { invalidField } from '../validation/invalid-field.ts';
import { parseJson } from './json-body.ts';
import { type NdjsonLine, ndjsonLines } from './ndjson-lines.ts';

export const mostLines = 100_000;
/** Of one commit: with the orders of their hosts they stay below what one may carry. */
const mostTogether = 25;
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

/** The lines of a stream as tasks, those together that can be one commit. */
export async function* bulkTasks(
  body: AsyncIterable<Buffer>,
  read: ReadLine,
): AsyncGenerator<BulkTask[], void> {
  for await (const piece of gathered(ndjsonLines(body, maxBodyBytes)))
    yield* together(piece.map((line) => toTask(line, read)));
}

/** Lines that come in small pieces, one close upon another, are made together all the same. */
async function* gathered(pieces: AsyncGenerator<NdjsonLine[], void>): AsyncGenerator<NdjsonLine[], void> {
  let next = pieces.next();
  try {
    for (let last = await next; last.done !== true; last = await next) {
      const lines = [...last.value];
      next = pieces.next();
      while (lines.length < mostTogether) {
        const more = await Promise.race([next, delay(gatherMs, null)]);
        if (more === null || more.done === true) break;
        lines.push(...more.value);
        next = pieces.next();
      }
      yield lines;
    }
  } finally {
    next.catch(() => {}); // nobody waits for it any more
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

/** Neighbours that can be one commit: of different routes, and not too many. */
function* together(tasks: BulkTask[]): Generator<BulkTask[]> {
  let some: BulkTask[] = [];
  let ids = new Set<string>();
  let records = 0;
  let bytes = 0;
  for (const task of tasks) {
    const more = 1 + 2 * (task.body?.hosts.length ?? 1);
    const full =
      some.length === mostTogether ||
      records + more > mostRecordsTogether ||
      bytes + task.bytes > mostBytesTogether ||
      (task.id !== null && ids.has(task.id));
    if (full && some.length > 0) {
      yield some;
      some = [];
      ids = new Set();
      records = 0;
      bytes = 0;
    }
    some.push(task);
    if (task.id !== null) ids.add(task.id);
    records += more;
    bytes += task.bytes;
  }
  if (some.length > 0) yield some;
}
