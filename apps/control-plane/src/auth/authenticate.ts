import { createHash, timingSafeEqual } from 'node:crypto';
import { AppError } from '@lockstep/contract';
import { type Access, adminAccess } from './access.ts';

/** Whose a request with this Authorization field is (RFC 6750, section 2.1). Throws `unauthorized`. */
export type Authenticate = (authorization: string | undefined) => Promise<Access>;

export interface AuthenticateOptions {
  /** Of the environment. */
  adminTokens: readonly string[];
  /** Of those that were made here; null where there is no such token. May throw `store_unavailable`. */
  find(token: string): Promise<Access | null>;
  now?: () => number;
}

export function createAuthenticate({ adminTokens, find, now = Date.now }: AuthenticateOptions): Authenticate {
  const admins = adminTokens.map(digest);

  /** Compares with each, so that the time tells nothing of which. */
  function isAdmin(given: string): boolean {
    const digested = digest(given);
    return admins.filter((admin) => timingSafeEqual(digested, admin)).length > 0;
  }

  return async (authorization = '') => {
    const [, given] = /^Bearer +(\S+)$/i.exec(authorization) ?? [];
    if (given === undefined) throw unauthorized('send a token as "Authorization: Bearer …"');
    if (isAdmin(given)) return adminAccess;
    const access = await find(given);
    if (access === null) throw unauthorized('there is no such token; it may have been revoked');
    if (access.expiresAt !== null && access.expiresAt <= now())
      throw unauthorized(`the token "${access.principal.name}" has expired`);
    return access;
  };
}

function unauthorized(detail: string): AppError {
  return new AppError('unauthorized', detail);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
