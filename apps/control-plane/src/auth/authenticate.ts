import { createHash, timingSafeEqual } from 'node:crypto';
import { AppError, type Principal } from '@lockstep/contract';

/** Whose a request with this Authorization field is (RFC 6750, section 2.1). Throws `unauthorized`. */
export type Authenticate = (authorization: string | undefined) => Principal;

/** There is one token, the admin's. */
export function createAuthenticate(adminToken: string): Authenticate {
  const expected = digest(adminToken);
  return (authorization = '') => {
    const [, given] = /^Bearer +(\S+)$/i.exec(authorization) ?? [];
    if (given === undefined || !timingSafeEqual(digest(given), expected))
      throw new AppError('unauthorized', 'send the admin token as "Authorization: Bearer …"');
    return { kind: 'token', name: 'admin' };
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
