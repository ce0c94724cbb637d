import { AppError, wildcardOf } from '@lockstep/contract';
import {
  DeleteQuery,
  Host,
  PatchRoute,
  Problem,
  PutRoute,
  pageOf,
  Route,
  RouteCheck,
  RouteId,
  RoutesQuery,
  RouteTraffic,
} from '@lockstep/contract/schemas';
import type { ConfigStore, PageRequest } from '@lockstep/store';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { tenantClaimPrefix } from '../certificates/tenant-claim.ts';
import type { DnsRecheck } from '../routes/dns-recheck.ts';
import { newRouteId, type RouteService, routeNotFound } from '../routes/route-service.ts';
import type { RouteView } from '../routes/route-view.ts';
import type { ApiInstance } from './api-instance.ts';
import { tag } from './conditions.ts';
import { once } from './idempotent.ts';
import { mergePatchType, withoutShown } from './json-body.ts';
import type { LoadBound } from './load-bound.ts';
import { missingOk } from './missing-ok.ts';
import { needs } from './needs.ts';
import { pageOfList } from './page-of-list.ts';
import { parseWait } from './prefer.ts';
import { originOf } from './request-origin.ts';

const params = z.object({ id: RouteId });
const headers = z.looseObject({
  prefer: z
    .string()
    .optional()
    .describe(
      '`wait=N` (RFC 7240): answer when every live edge serves the route, after N seconds at the latest',
    ),
});
const claimsAtOnce = 1_000;
const config = { conditional: true } as const;
/** What answers have beside what bodies take. */
export const shownOfRoutes = ['revision', 'createdAt', 'updatedAt', 'status'];
const body = z.preprocess((given) => withoutShown(given, shownOfRoutes), PutRoute);
const RoutePage = pageOf(Route, 'RoutePage');
const written = { 200: Route, 202: Route, '4xx': Problem, '5xx': Problem };
const made = { 201: Route, ...written };

export interface RoutesApiOptions {
  store: ConfigStore;
  service: RouteService;
  view: RouteView;
  checker: DnsRecheck;
  /** What the edges served of a route. */
  traffic(id: string): Promise<RouteTraffic>;
  load: Pick<LoadBound, 'wait'>;
  /** Aborted when the control plane stops: waits are answered then. */
  stopping: AbortSignal;
}

export function routesApi(
  app: ApiInstance,
  { store, service, view, checker, traffic, load, stopping }: RoutesApiOptions,
): void {
  /** Ends early also when the caller hangs up, so that nothing waits for nobody. */
  async function settled({ raw }: FastifyRequest, id: string, timeoutMs: number) {
    const gone = new AbortController();
    const onClose = () => gone.abort();
    raw.socket.once('close', onClose);
    try {
      return await view.settled(id, timeoutMs, AbortSignal.any([stopping, gone.signal]));
    } finally {
      raw.socket.off('close', onClose);
    }
  }

  /** Answers with the route: after the wait that the caller prefers, if any. */
  async function answer(
    request: FastifyRequest,
    reply: FastifyReply,
    id: string,
    preferred: number | null,
    created: boolean,
  ) {
    // A preference may be passed over (RFC 7240, section 2): the write stands either way.
    const waitSeconds = preferred !== null && load.wait(request) ? preferred : null;
    if (waitSeconds !== null) reply.header('preference-applied', `wait=${waitSeconds}`);
    const route =
      waitSeconds === null ? await view.route(id) : await settled(request, id, waitSeconds * 1_000);
    if (route === null) throw routeNotFound(id);
    if (created) reply.header('location', `/v1/routes/${id}`);
    tag(request, reply, route.revision);
    const live = route.status.state === 'live';
    if (created) return reply.code(live || preferred === null ? 201 : 202).send(route);
    return reply.code(live ? 200 : 202).send(route);
  }

  /** The ids of the routes that name the host, or the wildcard that stands for it. */
  async function routesOf(host: string): Promise<string[]> {
    const ids = new Set<string>();
    for (const name of [host, wildcardOf(host)]) {
      if (name === null) continue;
      for (let after: string | undefined; ; ) {
        const holders = await store.findClaims(`${name} `, claimsAtOnce, after);
        if (holders.length === 0) break; // a page may be short: a claim can go while it is read
        for (const { id } of holders) ids.add(id);
        after = holders.at(-1)?.claim;
      }
    }
    return [...ids].sort();
  }

  async function pageOfAll(page: PageRequest, tenant: string | undefined) {
    if (tenant === undefined) return store.list('route', page);
    const prefix = tenantClaimPrefix('route', tenant);
    const after = page.cursor === undefined ? undefined : prefix + page.cursor;
    const holders = await store.findClaims(prefix, page.limit + 1, after);
    const ids = holders.slice(0, page.limit).map(({ id }) => id);
    return { items: await read(ids), next: holders.length > page.limit ? (ids.at(-1) ?? null) : null };
  }

  async function pageOfHost(page: PageRequest, host: string, tenant: string | undefined) {
    const found = await read(await routesOf(host));
    const own = tenant === undefined ? found : found.filter(({ value }) => value.tenant === tenant);
    return pageOfList(own, page, ({ id }) => id);
  }

  async function read(ids: string[]) {
    return (await store.getMany('route', ids)).filter((record) => record !== null);
  }

  app.post('/routes', {
    config,
    schema: {
      operationId: 'createRoute',
      security: needs('routes:write'),
      summary: 'Create a route, and obtain its certificates',
      description:
        '201 at once, or with `Prefer: wait=N` when every live edge serves it; 202 with the state reached when that takes longer or every issuer failed. The route stays either way.',
      tags: ['routes'],
      headers,
      body,
      response: { 201: Route, 202: Route, '4xx': Problem, '5xx': Problem },
    },
    async handler(request, reply) {
      const wait = parseWait(request.headers.prefer);
      const { id } = await once(request, { id: request.body.id ?? newRouteId() }, ({ id }) =>
        service.create(originOf(request), request.body, msOf(wait), id),
      );
      return answer(request, reply, id, wait, true);
    },
  });

  app.get('/routes', {
    schema: {
      operationId: 'listRoutes',
      security: needs('routes:read'),
      summary: 'List routes by id, or those of one host',
      description: 'With `host`: those that name it, and those that name the wildcard which stands for it.',
      tags: ['routes'],
      querystring: RoutesQuery,
      response: { 200: RoutePage, '4xx': Problem, '5xx': Problem },
    },
    async handler(request) {
      const { host, tenant, ...page } = request.query;
      const { items, next } = await (host === undefined
        ? pageOfAll(page, tenant)
        : pageOfHost(page, parseHost(host), tenant));
      return { items: await view.routes(items), next };
    },
  });

  app.get('/routes/:id', {
    config,
    schema: {
      operationId: 'getRoute',
      security: needs('routes:read'),
      summary: 'Get a route and how far it is',
      description: '`status` is worked out from what is stored and from the last reports of the edges.',
      tags: ['routes'],
      params,
      response: { 200: Route, '4xx': Problem, '5xx': Problem },
    },
    async handler(request, reply) {
      const route = await view.route(request.params.id);
      if (route === null) throw routeNotFound(request.params.id);
      tag(request, reply, route.revision);
      return route;
    },
  });

  app.put('/routes/:id', {
    config,
    schema: {
      operationId: 'putRoute',
      security: needs('routes:write'),
      summary: 'Replace a route, or create it under this id',
      description:
        '200 when every live edge serves it, 202 when not yet; 201 when it was created. One that changes nothing makes no revision.',
      tags: ['routes'],
      params,
      headers,
      body,
      response: made,
    },
    async handler(request, reply) {
      const wait = parseWait(request.headers.prefer);
      const created = await service.replace(originOf(request), request.params.id, request.body, msOf(wait));
      return answer(request, reply, request.params.id, wait, created);
    },
  });

  app.patch('/routes/:id', {
    config,
    schema: {
      operationId: 'patchRoute',
      security: needs('routes:write'),
      summary: 'Change some fields of a route (RFC 7396)',
      description:
        '200 when every live edge serves it, 202 when not yet. One that changes nothing makes no revision.',
      tags: ['routes'],
      consumes: ['application/json', mergePatchType],
      params,
      headers,
      body: PatchRoute,
      response: written,
    },
    async handler(request, reply) {
      const wait = parseWait(request.headers.prefer);
      await service.patch(originOf(request), request.params.id, request.body, msOf(wait));
      return answer(request, reply, request.params.id, wait, false);
    },
  });

  app.delete('/routes/:id', {
    config,
    schema: {
      operationId: 'deleteRoute',
      security: needs('routes:write'),
      summary: 'Delete a route',
      description: 'The certificate of a host that no other route names is kept for an hour.',
      tags: ['routes'],
      params,
      querystring: DeleteQuery,
      response: { 204: z.null().describe('The route is gone'), '4xx': Problem, '5xx': Problem },
    },
    async handler(request, reply) {
      await missingOk(request.query, service.remove(originOf(request), request.params.id));
      return reply.code(204).send(null);
    },
  });

  app.post('/routes/:id/check', {
    config,
    schema: {
      operationId: 'checkRoute',
      security: needs('routes:write'),
      summary: 'Look now whether the DNS leads each host here, and try at once those that it does',
      description:
        'For every host of the route, whatever its state; ends the back-off of those that are well.',
      tags: ['routes'],
      params,
      response: { 200: RouteCheck, '4xx': Problem, '5xx': Problem },
    },
    handler: async (request) => checker.check(originOf(request), request.params.id),
  });

  app.get('/routes/:id/traffic', {
    schema: {
      operationId: 'getRouteTraffic',
      security: needs('routes:read'),
      summary: 'What the edges served of a route in the last minutes: requests, errors, bytes, durations',
      description:
        'The live edges are asked, and their figures added up; those that do not answer within 2 s are named. Nothing of it is kept in the store.',
      tags: ['routes'],
      params,
      response: { 200: RouteTraffic, '4xx': Problem, '5xx': Problem },
    },
    async handler({ params: { id } }) {
      if ((await store.get('route', id)) === null) throw routeNotFound(id);
      return traffic(id);
    },
  });
}

function msOf(seconds: number | null): number | null {
  return seconds === null ? null : seconds * 1_000;
}

function parseHost(input: string): string {
  const parsed = Host.safeParse(input);
  if (parsed.success) return parsed.data;
  const detail = parsed.error.issues[0]?.message ?? 'is not a host';
  throw new AppError('invalid_request', detail, { errors: [{ pointer: 'host', detail }] });
}
