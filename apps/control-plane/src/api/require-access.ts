import { AppError, isAppError } from '@lockstep/contract';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { type Access, requireScope } from '../auth/access.ts';
import type { Authenticate } from '../auth/authenticate.ts';
import { type CallsLeft, createCallLimits } from '../auth/call-limits.ts';
import { createFailedTries } from '../auth/failed-tries.ts';
import { neededBy, requireNeeds } from './needs.ts';

export interface AccessOptions {
  authenticate: Authenticate;
  /** Told of each request that a token was taken for. */
  onUse(tokenId: string): void;
}

/** Has each request below this instance's prefix say whose it is, not too often, and be for what its operation needs; or refuses it. */
export function requireAccess(app: FastifyInstance, { authenticate, onUse }: AccessOptions): void {
  const tries = createFailedTries();
  const countCall = createCallLimits();

  async function identify(address: string, authorization: string | undefined): Promise<Access> {
    if (authorization === undefined) return authenticate(authorization);
    await tries.check(address, authorization);
    try {
      const access = await authenticate(authorization);
      tries.passed(address, authorization);
      return access;
    } catch (error) {
      if (isAppError(error, 'unauthorized')) await tries.failed(address);
      throw error;
    }
  }

  requireNeeds(app);
  app.decorateRequest('access', null);
  app.addHook('onRequest', async (request, reply) => {
    const access = await identify(request.ip, request.headers.authorization);
    request.access = access;
    if (access.principal.id !== undefined) onUse(access.principal.id);
    const calls = await countCall(access);
    if (calls !== null) tellLimit(reply, calls);
    if (calls?.exceeded)
      throw new AppError(
        'rate_limited',
        `the token "${access.principal.name}" may call ${calls.requests} times in ${calls.perSeconds} s`,
        { facts: { retryAfterSeconds: calls.resetSeconds } },
      );
    const needed = neededBy(request);
    if (needed !== null) requireScope(access, needed);
  });
}

/** draft-ietf-httpapi-ratelimit-headers-10 */
function tellLimit(reply: FastifyReply, { requests, perSeconds, left, resetSeconds }: CallsLeft): void {
  reply.header('ratelimit-policy', `"token";q=${requests};w=${perSeconds}`);
  reply.header('ratelimit', `"token";r=${left};t=${resetSeconds}`);
}
