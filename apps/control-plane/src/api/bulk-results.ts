import { setTimeout as delay } from 'node:timers/promises';
import { AppError, type BulkLine, errorCodes, type PutRoute } from '@lockstep/contract';
import type { WriteOrigin } from '../changes/writes.ts';
import type { WrittenLine } from '../routes/many-routes.ts';
import type { RouteService } from '../routes/route-service.ts';
import type { LoopShare } from '../time/loop-share.ts';
import { toAppError } from '../validation/any-error.ts';
import { type BulkTask, bulkTasks, mostLines, type ReadLine } from './bulk-tasks.ts';
import { problemOf } from './problem-answers.ts';

const longestPauseMs = 50;

export interface Bulk {
  dryRun: boolean;
  missingOk: boolean;
  read: ReadLine;
}

export interface BulkResultsOptions {
  service: RouteService;
  share: Pick<LoopShare, 'turn'>;
}

/** Makes what the lines of a stream ask for, and answers line by line, in order, while they come. */
export function createBulkResults({ service, share }: BulkResultsOptions) {
  return async function* results(
    origin: WriteOrigin,
    requestId: string,
    body: AsyncIterable<Buffer>,
    bulk: Bulk,
  ): AsyncGenerator<string> {
    for await (const tasks of bulkTasks(body, bulk.read)) {
      await share.turn('requests');
      const began = performance.now();
      const { written, over } = await work(origin, tasks, bulk);
      // As long as it worked it leaves the process to those who ask for one thing and wait.
      await delay(Math.min(longestPauseMs, performance.now() - began));
      yield tasks.map((task, index) => textOf(task, written[index]!, requestId, bulk)).join('');
      if (over || tasks.some(({ line }) => line > mostLines)) return;
    }
  };

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
