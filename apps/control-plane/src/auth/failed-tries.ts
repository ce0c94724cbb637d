import { createHash } from 'node:crypto';
import { AppError, clientKey } from '@lockstep/contract';
import { LRUCache } from 'lru-cache';
import { createMemoryLimiter } from './memory-limiter.ts';

const mostFailed = 60;
const windowMs = 60_000;
const mostRemembered = 10_000;

/**
 * Slows whoever tries tokens: from an address with too many wrong ones in a minute no other is looked at until the minute is over. Those that
 * it got through with before are, so that nobody behind the same proxy is locked out.
 */
export interface FailedTries {
  /** Throws `rate_limited`. */
  check(address: string, authorization: string): Promise<void>;
  failed(address: string): Promise<void>;
  passed(address: string, authorization: string): void;
}

export function createFailedTries(): FailedTries {
  let limiter: ReturnType<typeof createMemoryLimiter> | null = null;
  const through = new LRUCache<string, true>({ max: mostRemembered });

  const pairOf = (address: string, authorization: string) =>
    `${clientKey(address)} ${createHash('sha256').update(authorization).digest('base64')}`;

  return {
    async check(address, authorization) {
      const counted = (await limiter?.get(clientKey(address))) ?? null;
      if (counted === null || counted.consumedPoints < mostFailed) return;
      if (through.has(pairOf(address, authorization))) return;
      throw new AppError('rate_limited', 'too many tokens from this address were wrong; try again later', {
        facts: { retryAfterSeconds: Math.max(1, Math.ceil(counted.msBeforeNext / 1_000)) },
      });
    },
    async failed(address) {
      limiter ??= createMemoryLimiter(mostFailed, windowMs);
      await limiter.penalty(clientKey(address));
    },
    passed: (address, authorization) => void through.set(pairOf(address, authorization), true),
  };
}
