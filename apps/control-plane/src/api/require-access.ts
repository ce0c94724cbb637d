import type { FastifyInstance, FastifyReply } from 'fastify';
import { requireScope } from '../auth/access.ts';
import type { CallsLeft } from '../auth/call-limits.ts';
import { createIdentify, type IdentifyOptions, refuseExceeding } from '../auth/identify.ts';
import { neededBy, requireNeeds } from './needs.ts';

export type AccessOptions = IdentifyOptions;

/** Has each request below this instance's prefix say whose it is, not too often, and be for what its operation needs; or refuses it. */
export function requireAccess(app: FastifyInstance, options: AccessOptions): void {
  const identify = createIdentify(options);

  requireNeeds(app);
  app.decorateRequest('access', null);
  app.addHook('onRequest', async (request, reply) => {
    const { access, calls } = await identify(request.ip, request.headers.authorization);
    request.access = access;
    if (calls !== null) tellLimit(reply, calls);
    refuseExceeding(access, calls);
    const needed = neededBy(request);
    if (needed !== null) requireScope(access, needed);
  });
}

/** draft-ietf-httpapi-ratelimit-headers-10 */
function tellLimit(reply: FastifyReply, { requests, perSeconds, left, resetSeconds }: CallsLeft): void {
  reply.header('ratelimit-policy', `"token";q=${requests};w=${perSeconds}`);
  reply.header('ratelimit', `"token";r=${left};t=${resetSeconds}`);
}
