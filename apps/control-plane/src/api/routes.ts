import {
  DeleteQuery,
  PatchRoute,
  Problem,
  PutRoute,
  Route,
  RouteCheck,
  RouteId,
  RoutePage,
  RoutesQuery,
  RouteTraffic,
  RouteValidity,
} from '@lockstep/contract/schemas';
import type { ConfigStore } from '@lockstep/store';
import { z } from 'zod';
import type { InstructionsSource } from '../instructions/instructions.ts';
import type { DnsRecheck } from '../routes/dns-recheck.ts';
import { createRouteList } from '../routes/route-list.ts';
import { routeNotFound } from '../routes/route-refusals.ts';
import { newRouteId, type RouteService } from '../routes/route-service.ts';
import type { RouteView } from '../routes/route-view.ts';
import type { LoopShare } from '../time/loop-share.ts';
import type { ApiInstance } from './api-instance.ts';
import { tag } from './conditions.ts';
import { once } from './idempotent.ts';
import { mergePatchType, withoutShown } from './json-body.ts';
import type { LoadBound } from './load-bound.ts';
import { missingOk } from './missing-ok.ts';
import { movingOfRoute } from './moving-parts.ts';
import { needs } from './needs.ts';
import { parseWait, preferHeaders } from './prefer.ts';
import { originOf } from './request-origin.ts';
import { createRouteAnswers } from './route-answers.ts';
import { routeBulkApi } from './route-bulk.ts';
import { routeHostsApi } from './route-hosts.ts';
import { routeInstructionsApi } from './route-instructions.ts';
import { collectMetadata, parseHost } from './route-query.ts';

const params = z.object({ id: RouteId });
const headers = preferHeaders;
const config = { conditional: true } as const;
/** What answers have beside what bodies take. */
export const shownOfRoutes = ['revision', 'createdAt', 'updatedAt', 'status'];
const body = z.preprocess((given) => withoutShown(given, shownOfRoutes), PutRoute);
const written = { 200: Route, 202: Route, '4xx': Problem, '5xx': Problem };
const made = { 201: Route, ...written };

export interface RoutesApiOptions {
  store: ConfigStore;
  service: RouteService;
  view: RouteView;
  checker: DnsRecheck;
  instructions: InstructionsSource;
  /** What the edges served of a route. */
  traffic(id: string): Promise<RouteTraffic>;
  load: Pick<LoadBound, 'wait' | 'quiet'>;
  share: Pick<LoopShare, 'turn'>;
  /** Aborted when the control plane stops: waits are answered then. */
  stopping: AbortSignal;
}

export function routesApi(
  app: ApiInstance,
  { store, service, view, checker, instructions, traffic, load, share, stopping }: RoutesApiOptions,
): void {
  const answer = createRouteAnswers({ view, load, stopping });
  const list = createRouteList({ store, view });
  routeHostsApi(app, { service, checker, answer });
  routeInstructionsApi(app, { view, instructions });
  app.register(async (bulk) =>
    routeBulkApi(bulk as ApiInstance, { service, share, load, shown: shownOfRoutes }),
  );

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
    preValidation: async (request) => {
      request.query = collectMetadata(request.query as Record<string, unknown>) as never;
    },
    schema: {
      operationId: 'listRoutes',
      security: needs('routes:read'),
      summary: 'List routes: all, or those of a tenant or host, or with something in common',
      description:
        'By id, however many there are; `host` and `tenant` find theirs at once. `metadata.KEY=VALUE` (any number of them), `q` and `state` are looked for in up to 5,000 routes a page, so that it may be short, or empty: go on until `next` is null.',
      tags: ['routes'],
      querystring: RoutesQuery,
      response: { 200: RoutePage, '4xx': Problem, '5xx': Problem },
    },
    async handler(request) {
      const { host, total, fields, ...query } = request.query;
      return list({
        ...query,
        host: host === undefined ? undefined : parseHost(host),
        total: total !== undefined,
        fields: fields ?? null,
      });
    },
  });

  app.post('/routes/validate', {
    config: { repeatable: true },
    schema: {
      operationId: 'validateRoute',
      security: needs('routes:read'),
      summary: 'Whether a route would be taken as it is',
      description: 'Makes nothing: 200, or the refusal that PUT or POST would answer with.',
      tags: ['routes'],
      body,
      response: { 200: RouteValidity, '4xx': Problem, '5xx': Problem },
    },
    handler: async (request) => service.validate(originOf(request), request.body),
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
      tag(request, reply, route.revision, movingOfRoute(route));
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
        'For every host of the route, whatever its state; ends the back-off of those that are well. Of those that wait for it, whether it is proven whose they are.',
      tags: ['routes'],
      params,
      response: { 200: RouteCheck, '4xx': Problem, '5xx': Problem },
    },
    async handler(request) {
      load.wait(request); // for the DNS, and not in the place of a write
      return checker.check(originOf(request), request.params.id);
    },
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
