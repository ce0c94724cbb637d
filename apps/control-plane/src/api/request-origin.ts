import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyRequest } from 'fastify';
import type { Access } from '../auth/access.ts';
import { boundsOf } from '../auth/bounds.ts';
import type { WriteOrigin } from '../changes/writes.ts';
import { conditionOf } from './conditions.ts';

/** Goes into log lines, and into problem documents as a URI reference (RFC 9457, section 3.1.5). */
const usable = /^[A-Za-z0-9._~+=@-]{1,128}$/;

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose it is, and what it may do; null at addresses that are open to all. */
    access: Access | null;
  }
}

/** Whose a request is, and what it may do. */
export function accessOf({ access }: Pick<FastifyRequest, 'access'>): Access {
  if (access === null) throw new Error('an address that is open to all');
  return access;
}

/** On whose account a request changes the store, within which bounds, and on which condition. Throws `invalid_request`. */
export function originOf(request: Pick<FastifyRequest, 'access' | 'id' | 'headers' | 'keyed'>): WriteOrigin {
  const access = accessOf(request);
  const condition = conditionOf(request);
  return {
    by: access.principal,
    requestId: request.id,
    bounds: boundsOf(access),
    ownership: access.ownership,
    condition,
    along: request.keyed?.along,
  };
}

/** The X-Request-Id that the caller gave, where it can be used as it is; else a new id. */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && usable.test(given) ? given : randomUUID();
}
