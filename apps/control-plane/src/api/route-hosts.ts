import {
  DeleteQuery,
  HostCheck,
  Problem,
  Route,
  RouteHost,
  RouteId,
  Tenant,
} from '@lockstep/contract/schemas';
import { z } from 'zod';
import { boundsOf, ownTenant, requireSuffix } from '../auth/bounds.ts';
import type { DnsRecheck } from '../routes/dns-recheck.ts';
import type { RouteService } from '../routes/route-service.ts';
import type { ApiInstance } from './api-instance.ts';
import { missingOk } from './missing-ok.ts';
import { needs } from './needs.ts';
import { parseWait, preferHeaders } from './prefer.ts';
import { accessOf, originOf } from './request-origin.ts';
import type { AnswerRoute } from './route-answers.ts';

const params = z.object({ id: RouteId, host: RouteHost });
const config = { conditional: true } as const;
const problems = { '4xx': Problem, '5xx': Problem };
const tags = ['routes'];

export interface RouteHostsApiOptions {
  service: RouteService;
  checker: Pick<DnsRecheck, 'look'>;
  answer: AnswerRoute;
}

/** The hosts of a route one by one, and what they need before there is one. */
export function routeHostsApi(app: ApiInstance, { service, checker, answer }: RouteHostsApiOptions): void {
  app.put('/routes/:id/hosts/:host', {
    config,
    schema: {
      operationId: 'addRouteHost',
      security: needs('routes:write'),
      summary: 'Have a route serve one more host',
      description:
        'Nothing where it does already. 200 when every live edge serves the route, 202 when not yet; `status.hosts` tells how far each host is.',
      tags,
      params,
      headers: preferHeaders,
      response: { 200: Route, 202: Route, ...problems },
    },
    async handler(request, reply) {
      const { id, host } = request.params;
      const wait = parseWait(request.headers.prefer);
      await service.addHost(originOf(request), id, host, wait === null ? null : wait * 1_000);
      return answer(request, reply, id, wait, false);
    },
  });

  app.delete('/routes/:id/hosts/:host', {
    config,
    schema: {
      operationId: 'removeRouteHost',
      security: needs('routes:write'),
      summary: 'Have a route serve a host no longer',
      description:
        '409 `wrong_state` for its only one: delete the route. Its certificate is kept for an hour.',
      tags,
      params,
      querystring: DeleteQuery,
      response: { 204: z.null().describe('The route does not name the host'), ...problems },
    },
    async handler(request, reply) {
      const { id, host } = request.params;
      await missingOk(request.query, service.removeHost(originOf(request), id, host));
      return reply.code(204).send(null);
    },
  });

  app.get('/dns-requirements', {
    schema: {
      operationId: 'getDnsRequirements',
      security: needs('routes:read'),
      summary: 'Which DNS records a host needs, before there is a route for it',
      description: 'Looks now, by the settings as they are. Nothing is made, and no CA is asked.',
      tags,
      querystring: z.strictObject({
        host: RouteHost,
        tenant: Tenant.optional().describe(
          'Whose it is to be, where the token is of no tenant: what proves the host is another for each',
        ),
      }),
      response: { 200: HostCheck, ...problems },
    },
    async handler(request) {
      const { host, tenant } = request.query;
      const bounds = boundsOf(accessOf(request));
      requireSuffix(bounds, host, 'host');
      return checker.look(originOf(request), host, ownTenant(bounds, tenant, 'tenant') ?? null);
    },
  });
}
