import type { Principal } from '@lockstep/contract';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Authenticate } from '../auth/authenticate.ts';
import type { WriteOrigin } from '../changes/writes.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose it is; null at addresses that are open to all. */
    principal: Principal | null;
  }
}

/** Has each request below this instance's prefix say whose it is, or refuses it. */
export function requirePrincipal(app: FastifyInstance, authenticate: Authenticate): void {
  app.decorateRequest('principal', null);
  app.addHook('onRequest', async (request) => {
    request.principal = authenticate(request.headers.authorization);
  });
}

/** On whose account a request changes the store. */
export function originOf({ principal, id }: Pick<FastifyRequest, 'principal' | 'id'>): WriteOrigin {
  if (principal === null) throw new Error('a change at an address that is open to all');
  return { by: principal, requestId: id };
}
