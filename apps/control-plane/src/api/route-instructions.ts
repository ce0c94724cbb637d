import { AppError } from '@lockstep/contract';
import { Problem, RouteHost, RouteId } from '@lockstep/contract/schemas';
import Negotiator from 'negotiator';
import { z } from 'zod';
import { asHtml, contentSecurityPolicy } from '../instructions/as-html.ts';
import { asText } from '../instructions/as-text.ts';
import type { InstructionsSource } from '../instructions/instructions.ts';
import { routeNotFound } from '../routes/route-refusals.ts';
import type { RouteView } from '../routes/route-view.ts';
import type { ApiInstance } from './api-instance.ts';
import { needs } from './needs.ts';

export interface RouteInstructionsApiOptions {
  view: Pick<RouteView, 'route'>;
  instructions: InstructionsSource;
}

/** The first is given where the caller takes any. */
const types = { text: 'text/plain', html: 'text/html' } as const;

/** What the owner of a domain has to do, for him to read. */
export function routeInstructionsApi(
  app: ApiInstance,
  { view, instructions }: RouteInstructionsApiOptions,
): void {
  app.get('/routes/:id/instructions', {
    schema: {
      operationId: 'getRouteInstructions',
      security: needs('routes:read'),
      summary: 'What the owner of the domains has to do in the DNS, to be shown or mailed to him',
      description:
        'Plain text or a page by `Accept`: the records to create, with their names as the panel of the domain’s DNS provider wants them, what is there now, what to remove, and what comes then. It is what `status.dnsRequirements` says; nothing is looked up but who keeps the DNS.',
      tags: ['routes'],
      params: z.object({ id: RouteId }),
      querystring: z.strictObject({
        host: RouteHost.optional().describe('For this one of its hosts'),
        format: z.enum(['text', 'html']).optional().describe('In place of `Accept`'),
      }),
      response: {
        200: {
          description: 'For a person to read',
          content: { 'text/plain': { schema: z.string() }, 'text/html': { schema: z.string() } },
        },
        '4xx': Problem,
        '5xx': Problem,
      },
    },
    async handler(request, reply) {
      const { host, format } = request.query;
      const type = format === undefined ? preferred(request.headers.accept) : types[format];
      const route = await view.route(request.params.id);
      if (route === null) throw routeNotFound(request.params.id);
      const found = await instructions.of(route, host);
      reply.headers({
        vary: 'accept',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'content-security-policy': contentSecurityPolicy,
      });
      reply.type(`${type}; charset=utf-8`).serializer(String);
      return reply.send(type === types.html ? asHtml(found) : asText(found));
    },
  });
}

function preferred(accept: string | undefined): string {
  const headers = accept === undefined ? {} : { accept };
  const type = new Negotiator({ headers }).mediaType(Object.values(types));
  if (type !== undefined) return type;
  throw new AppError(
    'not_acceptable',
    `this is given as ${Object.values(types).join(' or ')}, not as ${accept}; \`status.dnsRequirements\` of the route has it in JSON`,
  );
}
