import { setTimeout as delay } from 'node:timers/promises';
import { AppError, type BulkLine, errorCodes, type PutRoute } from '@lockstep/contract';
import type { WriteOrigin } from '../changes/writes.ts';
import type { WrittenLine } from '../routes/many-routes.ts';
import type { RouteService } from '../routes/route-service.ts';
import type { LoopShare } from '../time/loop-share.ts';
import { toAppError } from '../validation/any-error.ts';
import {
  type BulkTask,
  bulkLines,
  mostLines,
  mostTogether,
  type ReadLine,
  takeTogether,
} from './bulk-tasks.ts';
import type { LoadBound } from './load-bound.ts';
import { problemOf } from './problem-answers.ts';

/** What others may have to wait for, since what has begun is not interrupted. */
const sliceMs = 12;
const fewestTogether = 10;
const longestPauseMs = 50;
/** How many times as long as it worked it leaves the process to single requests, while there are any. */
const courtesy = 4;

export interface Bulk {
  dryRun: boolean;
  missingOk: boolean;
  read: ReadLine;
}

export interface BulkResultsOptions {
  service: RouteService;
  share: Pick<LoopShare, 'turn'>;
  load: Pick<LoadBound, 'quiet'>;
}

/** Makes what the lines of a stream ask for, and answers line by line, in order, while they come. */
export function createBulkResults({ service, share, load }: BulkResultsOptions) {
  return async function* results(
    origin: WriteOrigin,
    requestId: string,
    body: AsyncIterable<Buffer>,
    bulk: Bulk,
  ): AsyncGenerator<string> {
    let together = fewestTogether;
    for await (const lines of bulkLines(body)) {
      for (let from = 0; from < lines.length; ) {
        await share.turn('requests');
        const began = performance.eventLoopUtilization();
        const tasks = takeTogether(lines, from, together, bulk.read);
        from += tasks.length;
        const { written, over } = await work(origin, tasks, bulk);
        // What goes to the store and comes back holds up nobody.
        const workedMs = performance.eventLoopUtilization(began).active;
        together = nextTogether(together, tasks.length, workedMs);
        await pause(workedMs);
        yield tasks.map((task, index) => textOf(task, written[index]!, requestId, bulk)).join('');
        if (over || tasks.some(({ line }) => line > mostLines)) return;
      }
    }
  };

  /** As long as it worked, and longer while others are at work who ask for one thing and wait. */
  async function pause(workedMs: number): Promise<void> {
    const pauseMs = Math.min(longestPauseMs, workedMs);
    await delay(pauseMs);
    await load.quiet(Math.min(longestPauseMs, courtesy * workedMs) - pauseMs);
  }

  /** `over`: nothing more can be made. */
  async function work(
    origin: WriteOrigin,
    tasks: BulkTask[],
    bulk: Bulk,
  ): Promise<{ written: WrittenLine[]; over: boolean }> {
    const good = tasks.flatMap(({ id, body, error }) =>
      error === null && id !== null ? [{ id, body }] : [],
    );
    const written: WrittenLine[] = [];
    let over = false;
    try {
      const all = bulk.dryRun || good.length === 0 ? null : await service.writeMany(origin, good);
      for (const [index, line] of good.entries())
        written.push(all?.[index] ?? (await one(origin, line, bulk)));
    } catch (error) {
      // Of those behind it nothing is known either.
      const failed = toAppError(error);
      while (written.length < good.length) written.push(failed);
      over = true;
    }
    const next = written.values();
    return { written: tasks.map(({ error }) => error ?? next.next().value!), over };
  }

  async function one(
    origin: WriteOrigin,
    { id, body }: { id: string; body: PutRoute | null },
    { dryRun }: Bulk,
  ): Promise<WrittenLine> {
    try {
      const foreseen = await service.preview(origin, id, body);
      if (dryRun) return foreseen;
      if (body !== null) {
        const made = await service.replace(origin, id, body, 'bulk');
        return made ? 'made' : foreseen === 'made' ? 'changed' : foreseen;
      }
      await service.remove(origin, id);
      return 'deleted';
    } catch (error) {
      const known = toAppError(error);
      if (errorCodes[known.code].status >= 500) throw error;
      return known;
    }
  }
}

/** How many lines are made together, so that they take about a slice. */
function nextTogether(together: number, made: number, tookMs: number): number {
  const fitting = Math.round((made * sliceMs) / tookMs);
  // By steps, since one that took long may have waited for others.
  return Math.max(
    fewestTogether,
    Math.min(mostTogether, Math.max(together >> 1, Math.min(together + 2, fitting))),
  );
}

const statusOf = { made: 201, changed: 200, unchanged: 200, deleted: 204 } as const;

function textOf(
  { line, id }: BulkTask,
  written: WrittenLine,
  requestId: string,
  { missingOk }: Bulk,
): string {
  const gone = missingOk && written instanceof AppError && written.code === 'not_found';
  const result: BulkLine =
    written instanceof AppError && !gone
      ? {
          line,
          id,
          status: errorCodes[written.code].status,
          changed: false,
          error: problemOf(written, requestId),
        }
      : {
          line,
          id,
          status: written instanceof AppError ? 204 : statusOf[written],
          changed: !(written instanceof AppError) && written !== 'unchanged',
        };
  return `${JSON.stringify(result)}\n`;
}
