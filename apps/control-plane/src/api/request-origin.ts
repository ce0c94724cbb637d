import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Principal } from '@lockstep/contract';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Authenticate } from '../auth/authenticate.ts';
import type { WriteOrigin } from '../changes/writes.ts';

/** Goes into log lines, and into problem documents as a URI reference (RFC 9457, section 3.1.5). */
const usable = /^[A-Za-z0-9._~+=@-]{1,128}$/;

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

/** The X-Request-Id that the caller gave, where it can be used as it is; else a new id. */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && usable.test(given) ? given : randomUUID();
}
