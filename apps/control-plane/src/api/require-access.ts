import type { FastifyInstance } from 'fastify';
import { requireScope } from '../auth/access.ts';
import type { Authenticate } from '../auth/authenticate.ts';
import { neededBy, requireNeeds } from './needs.ts';

export interface AccessOptions {
  authenticate: Authenticate;
  /** Told of each request that a token was taken for. */
  onUse(tokenId: string): void;
}

/** Has each request below this instance's prefix say whose it is, and be for what its operation needs; or refuses it. */
export function requireAccess(app: FastifyInstance, { authenticate, onUse }: AccessOptions): void {
  requireNeeds(app);
  app.decorateRequest('access', null);
  app.addHook('onRequest', async (request) => {
    const access = await authenticate(request.headers.authorization);
    request.access = access;
    if (access.principal.id !== undefined) onUse(access.principal.id);
    const needed = neededBy(request);
    if (needed !== null) requireScope(access, needed);
  });
}
