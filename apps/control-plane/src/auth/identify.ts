import { AppError, isAppError } from '@lockstep/contract';
import type { Access } from './access.ts';
import type { Authenticate } from './authenticate.ts';
import { type CallsLeft, createCallLimits } from './call-limits.ts';
import { createFailedTries } from './failed-tries.ts';

export interface IdentifyOptions {
  authenticate: Authenticate;
  /** Told of each request that a token was taken for. */
  onUse(tokenId: string): void;
}

/**
 * Whose a request from this address is, and how its token stands to its limit, this call counted. Throws `unauthorized`, and `rate_limited`
 * for an address that tries too many tokens.
 */
export type Identify = (
  address: string,
  authorization: string | undefined,
) => Promise<{ access: Access; calls: CallsLeft | null }>;

export function createIdentify({ authenticate, onUse }: IdentifyOptions): Identify {
  const tries = createFailedTries();
  const countCall = createCallLimits();

  async function accessOf(address: string, authorization: string | undefined): Promise<Access> {
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

  return async (address, authorization) => {
    const access = await accessOf(address, authorization);
    if (access.principal.id !== undefined) onUse(access.principal.id);
    return { access, calls: await countCall(access) };
  };
}

/** Throws `rate_limited` for a call that is one too many. */
export function refuseExceeding({ principal }: Access, calls: CallsLeft | null): void {
  if (!calls?.exceeded) return;
  throw new AppError(
    'rate_limited',
    `the token "${principal.name}" may call ${calls.requests} times in ${calls.perSeconds} s`,
    { facts: { retryAfterSeconds: calls.resetSeconds } },
  );
}
