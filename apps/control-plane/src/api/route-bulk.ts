import { Readable } from 'node:stream';
import { AppError } from '@lockstep/contract';
import {
  BulkLine as BulkLineSchema,
  Problem,
  PutRoute as PutRouteSchema,
  RouteId,
} from '@lockstep/contract/schemas';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { RouteService } from '../routes/route-service.ts';
import type { LoopShare } from '../time/loop-share.ts';
import { invalidField, toInvalidRequest } from '../validation/invalid-field.ts';
import type { ApiInstance } from './api-instance.ts';
import { type Bulk, createBulkResults } from './bulk-results.ts';
import { refuseCoding, withoutShown } from './json-body.ts';
import type { LoadBound } from './load-bound.ts';
import { needs } from './needs.ts';
import { originOf } from './request-origin.ts';

export const ndjsonType = 'application/x-ndjson';

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
  load: Pick<LoadBound, 'quiet'>;
  /** What answers have beside what bodies take. */
  shown: readonly string[];
}

/** Many routes at once, a line each: read, made and answered piece by piece, many of them in a commit. */
export function routeBulkApi(app: ApiInstance, { service, share, load, shown }: RouteBulkApiOptions): void {
  const results = createBulkResults({ service, share, load });
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
    refuseCoding(request);
    const { body } = request;
    // Null: no byte came, and so no line.
    if (body != null && !(body instanceof Readable))
      throw new AppError('unsupported_media_type', `send the lines as ${ndjsonType}`);
    const origin = originOf(request);
    // Whoever sends more than is taken reads the answers to the lines before it all the same.
    const pieces = (body ?? Readable.from([])).iterator({ destroyOnReturn: false });
    const lines = results(origin, request.id, pieces, bulk);
    // Its schema is of a line.
    return reply.type(ndjsonType).send(Readable.from(lines, { objectMode: false })) as never;
  }
}
