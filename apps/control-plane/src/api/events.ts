import { AppError } from '@lockstep/contract';
import { EventPage, EventPlace, EventsQuery, Problem } from '@lockstep/contract/schemas';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Authenticate } from '../auth/authenticate.ts';
import { type EventFilter, matches, presentEvent } from '../events/event-filter.ts';
import type { EventHistory } from '../events/event-history.ts';
import { streamEvents } from '../events/event-stream.ts';
import { invalidField } from '../validation/invalid-field.ts';
import type { ApiInstance } from './api-instance.ts';
import { needs } from './needs.ts';
import { accessOf } from './request-origin.ts';

const headers = z.looseObject({
  'last-event-id': z
    .string()
    .optional()
    .describe('As `since`, which it goes before: what a browser’s EventSource sends when it comes back'),
});
const mostStreams = 1_000;
const listedByDefault = 100;
/** Of a list with filters: so many are looked through for one page. */
const mostLookedAt = 10_000;
const readAtOnce = 1_000;

export interface EventsApiOptions {
  history: EventHistory;
  authenticate: Authenticate;
  stopping: AbortSignal;
  heartbeatMs?: number;
}

export function eventsApi(app: ApiInstance, options: EventsApiOptions): void {
  const { history } = options;
  let streams = 0;

  app.get('/events', {
    schema: {
      operationId: 'getEvents',
      security: needs('events:read'),
      summary:
        'What happens, as it happens: a stream of server-sent events, or a list of those that are kept',
      description:
        'A stream sends each event as `id`, `event` (its type) and `data` (the event in JSON), a heartbeat every 15 s, and goes on after a cut with `Last-Event-ID`, at any control plane. Where events between are no longer kept, it says so with an event `gap`; a list answers 410 then.',
      tags: ['events'],
      headers,
      querystring: EventsQuery,
      response: {
        200: {
          content: {
            'text/event-stream': { schema: z.string() },
            'application/json': { schema: EventPage },
          },
        },
        '4xx': Problem,
        '5xx': Problem,
      },
    },
    async handler(request, reply) {
      const { since, type, route, host, tenant, limit } = request.query;
      const filter: EventFilter = {
        types: type,
        routes: route === undefined ? undefined : [route],
        host,
        tenant,
      };
      const place = placeOf(request.headers['last-event-id']) ?? since;
      const after = place === undefined ? null : place === 'beginning' ? '' : place;
      if (limit === undefined && !prefersJson(request.headers.accept))
        return stream(request, reply, filter, after);
      const page = await list(request, filter, after, limit ?? listedByDefault);
      return reply.header('cache-control', 'no-store').send(page as never);
    },
  });

  async function list(
    request: FastifyRequest,
    filter: EventFilter,
    since: string | null,
    limit: number,
  ): Promise<z.infer<typeof EventPage>> {
    const access = accessOf(request);
    // All that is kept has no gap.
    let after = since === '' ? null : since;
    const items: ReturnType<typeof presentEvent>[] = [];
    for (let looked = 0; ; ) {
      const page = await history.readKept({ after, limit: readAtOnce });
      if (page.gap) throw gone(after, page.items[0]?.id);
      let more = page.more;
      for (const [index, event] of page.items.entries()) {
        after = event.id;
        if (matches(event, filter, access)) items.push(presentEvent(event));
        if (items.length < limit) continue;
        more ||= index + 1 < page.items.length;
        break;
      }
      looked += page.items.length;
      if (items.length < limit) after = page.next;
      const last = after || 'beginning';
      if (items.length >= limit || !more || looked >= mostLookedAt)
        return { items, next: more ? last : null, last };
    }
  }

  async function stream(
    request: FastifyRequest,
    reply: FastifyReply,
    filter: EventFilter,
    after: string | null,
  ): Promise<FastifyReply> {
    if (streams >= mostStreams)
      throw new AppError(
        'overloaded',
        `${mostStreams} streams of events are open; try another control plane`,
      );
    const access = accessOf(request);
    const { raw } = reply.hijack();
    const head = {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      'x-request-id': request.id,
    };
    if (request.method === 'HEAD') {
      raw.writeHead(200, head).end();
      return reply;
    }
    const gone = new AbortController();
    streams += 1;
    raw.once('close', () => {
      streams -= 1;
      gone.abort();
    });
    raw.on('error', () => gone.abort());
    raw.writeHead(200, head);
    streamEvents({
      history,
      after,
      matches: (event) => matches(event, filter, access),
      may: () => stillMay(request.headers.authorization),
      to: raw,
      signal: AbortSignal.any([options.stopping, gone.signal]),
      ...(options.heartbeatMs === undefined ? {} : { heartbeatMs: options.heartbeatMs }),
    }).then(
      () => raw.end(),
      (error: unknown) => {
        request.log.debug({ err: error }, 'a stream of events was cut');
        raw.destroy();
      },
    );
    return reply;
  }

  /** A token that was revoked, or has expired, ends its streams; a store that is away does not. */
  async function stillMay(authorization: string | undefined): Promise<boolean> {
    try {
      await options.authenticate(authorization);
      return true;
    } catch (error) {
      return !(error instanceof AppError && error.code === 'unauthorized');
    }
  }
}

function placeOf(lastEventId: string | undefined): z.infer<typeof EventPlace> | undefined {
  if (lastEventId === undefined || lastEventId === '') return undefined;
  const place = EventPlace.safeParse(lastEventId);
  if (place.success) return place.data;
  throw invalidField('Last-Event-ID', 'is no id of an event, such as 000000000000042-0000-6f1d2c3b');
}

/** A stream is what is there for whoever does not say otherwise. */
function prefersJson(accept = ''): boolean {
  return accept.includes('application/json') && !accept.includes('text/event-stream');
}

function gone(since: string | null, first: string | undefined): AppError {
  return new AppError(
    'events_gone',
    `events after "${since || 'the beginning'}" are no longer kept; go on with since=beginning, and read what you need anew`,
    { facts: { oldest: first ?? null } },
  );
}
