import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError, type BulkLine, errorCodes, maxBodyBytes, type PutRoute } from '@lockstep/contract';
import {
  BulkLine as BulkLineSchema,
  Problem,
  PutRoute as PutRouteSchema,
  RouteId,
} from '@lockstep/contract/schemas';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { WriteOrigin } from '../changes/writes.ts';
import type { RouteService, WrittenLine } from '../routes/route-service.ts';
import type { LoopShare } from '../time/loop-share.ts';
import { toAppError } from '../validation/any-error.ts';
import { invalidField, toInvalidRequest } from '../validation/invalid-field.ts';
import type { ApiInstance } from './api-instance.ts';
import { parseJson, withoutShown } from './json-body.ts';
import { type NdjsonLine, ndjsonLines } from './ndjson-lines.ts';
import { needs } from './needs.ts';
import { problemOf } from './problem-answers.ts';
import { originOf } from './request-origin.ts';

export const ndjsonType = 'application/x-ndjson';
const mostLines = 100_000;
/** Of one commit: with the orders of their hosts they stay below what one may carry. */
const mostTogether = 25;
const longestPauseMs = 50;
const gatherMs = 5;
const mostRecordsTogether = 350;
const mostBytesTogether = 300_000;

const querystring = z.strictObject({
  'dry-run': z.enum(['true', 'false']).optional().describe('`true`: says what would come of each line'),
});
const deletedQuery = querystring.extend({ missing: z.literal('ok').optional() });
const DeleteLine = z.strictObject({ id: RouteId });
const response = {
  200: { content: { [ndjsonType]: { schema: BulkLineSchema } } },
  '4xx': Problem,
  '5xx': Problem,
};

export interface RouteBulkApiOptions {
  service: RouteService;
  share: Pick<LoopShare, 'turn'>;
  /** What answers have beside what bodies take. */
  shown: readonly string[];
}

interface Task {
  line: number;
  id: string | null;
  /** Null: it is deleted. */
  body: PutRoute | null;
  error: AppError | null;
  bytes: number;
}

interface Bulk {
  dryRun: boolean;
  missingOk: boolean;
  read(input: unknown): { id: string; body: PutRoute | null };
}

/** Many routes at once, a line each: read, made and answered piece by piece, many of them in a commit. */
export function routeBulkApi(app: ApiInstance, { service, share, shown }: RouteBulkApiOptions): void {
  (app as unknown as FastifyInstance).addContentTypeParser(ndjsonType, (_request, payload, done) =>
    done(null, payload),
  );
  const config = { repeatable: true, streams: true } as const;
  const common = { security: needs('routes:write'), tags: ['routes'], consumes: [ndjsonType], response };

  app.post('/routes/bulk', {
    config,
    schema: {
      operationId: 'putRoutes',
      summary: 'Create or replace up to 100,000 routes, one JSON object a line (NDJSON)',
      description:
        'Each line is the body of a PUT, with its `id`. Answered line by line, in order, while they come; a line without an answer was not made. Safe to repeat: what is as it was makes no revision. Their hosts wait for certificates behind all others.',
      querystring,
      body: z.any(),
      ...common,
    },
    handler: async (request, reply) =>
      answer(request as FastifyRequest, reply as unknown as FastifyReply, request.query, {
        read(input) {
          const { data, error } = PutRouteSchema.safeParse(withoutShown(input, shown));
          if (error !== undefined) throw toInvalidRequest(error);
          if (data.id === undefined) throw invalidField('/id', 'is missing: each line names its route');
          return { id: data.id, body: data };
        },
      }),
  });

  app.post('/routes/bulk-delete', {
    config,
    schema: {
      operationId: 'deleteRoutes',
      summary: 'Delete up to 100,000 routes, `{"id": …}` a line (NDJSON)',
      description: 'Answered line by line, in order. With `missing=ok`, 204 also for what is gone already.',
      querystring: deletedQuery,
      body: z.any(),
      ...common,
    },
    handler: async (request, reply) =>
      answer(request as FastifyRequest, reply as unknown as FastifyReply, request.query, {
        read(input) {
          const { data, error } = DeleteLine.safeParse(input);
          if (error !== undefined) throw toInvalidRequest(error);
          return { id: data.id, body: null };
        },
      }),
  });

  function answer(
    request: FastifyRequest,
    reply: FastifyReply,
    query: { 'dry-run'?: string | undefined; missing?: 'ok' | undefined },
    { read }: Pick<Bulk, 'read'>,
  ): never {
    const bulk = { dryRun: query['dry-run'] === 'true', missingOk: query.missing === 'ok', read };
    const { body } = request;
    if (body !== undefined && !(body instanceof Readable))
      throw new AppError('unsupported_media_type', `send the lines as ${ndjsonType}`);
    const origin = originOf(request);
    // Whoever sends more than is taken reads the answers to the lines before it all the same.
    const pieces = (body ?? Readable.from([])).iterator({ destroyOnReturn: false });
    const lines = results(origin, request.id, pieces, bulk);
    // Its schema is of a line.
    return reply.type(ndjsonType).send(Readable.from(lines, { objectMode: false })) as never;
  }

  async function* results(
    origin: WriteOrigin,
    requestId: string,
    body: AsyncIterable<Buffer>,
    bulk: Bulk,
  ): AsyncGenerator<string> {
    for await (const piece of gathered(ndjsonLines(body, maxBodyBytes))) {
      for (const tasks of together(piece.map((line) => toTask(line, bulk)))) {
        await share.turn('requests');
        const began = performance.now();
        const { written, over } = await work(origin, tasks, bulk);
        // As long as it worked it leaves the process to those who ask for one thing and wait.
        await delay(Math.min(longestPauseMs, performance.now() - began));
        yield tasks.map((task, index) => textOf(task, written[index]!, requestId, bulk)).join('');
        if (over || tasks.some(({ line }) => line > mostLines)) return;
      }
    }
  }

  /** `over`: nothing more can be made. */
  async function work(
    origin: WriteOrigin,
    tasks: Task[],
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

function toTask({ line, text }: NdjsonLine, { read }: Bulk): Task {
  const refused = (error: AppError, id: string | null = null): Task => ({
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
function* together(tasks: Task[]): Generator<Task[]> {
  let some: Task[] = [];
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

const statusOf = { made: 201, changed: 200, unchanged: 200, deleted: 204 } as const;

function textOf({ line, id }: Task, written: WrittenLine, requestId: string, { missingOk }: Bulk): string {
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
