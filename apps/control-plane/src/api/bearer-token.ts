import { createHash, timingSafeEqual } from 'node:crypto';
import { AppError } from '@lockstep/contract';
import type { FastifyInstance } from 'fastify';

/** Refuses requests below this instance's prefix that do not carry the token (RFC 6750, section 2.1). */
export function requireBearerToken(app: FastifyInstance, token: string): void {
  const expected = digest(token);
  app.addHook('onRequest', async (request) => {
    const [, given] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
    if (given !== undefined && timingSafeEqual(digest(given), expected)) return;
    throw new AppError('unauthorized', 'send the admin token as "Authorization: Bearer …"');
  });
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
