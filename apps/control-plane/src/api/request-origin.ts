import type { FastifyRequest } from 'fastify';
import type { WriteOrigin } from '../changes/writes.ts';

/** Whose changes a request's are: there is one token, the admin's. */
export function originOf(request: Pick<FastifyRequest, 'id'>): WriteOrigin {
  return { by: { kind: 'token', name: 'admin' }, requestId: request.id };
}
