import { LRUCache } from 'lru-cache';
import type { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Access } from './access.ts';
import { createMemoryLimiter } from './memory-limiter.ts';

/** For tokens that say nothing else. */
const standard = { requests: 6_000, perMs: 60_000 };
const mostDifferent = 1_000;

/** How a token stands to its limit, this call counted. */
export interface CallsLeft {
  requests: number;
  perSeconds: number;
  left: number;
  /** Until it may call as often as ever again. */
  resetSeconds: number;
  /** This call is one too many. */
  exceeded: boolean;
}

/** Counts the calls of each token, at this control plane; null for one without a limit. */
export type CountCall = (access: Access) => Promise<CallsLeft | null>;

export function createCallLimits(): CountCall {
  const limiters = new LRUCache<string, RateLimiterMemory>({ max: mostDifferent });

  return async ({ principal, rateLimit = standard }) => {
    if (rateLimit === null || principal.id === undefined) return null;
    const { requests, perMs } = rateLimit;
    const key = `${requests}/${perMs}`;
    const limiter = limiters.get(key) ?? createMemoryLimiter(requests, perMs);
    limiters.set(key, limiter);
    let exceeded = false;
    const counted = await limiter.consume(principal.id).catch((over: RateLimiterRes | Error) => {
      if (over instanceof Error) throw over;
      exceeded = true;
      return over;
    });
    return {
      requests,
      perSeconds: Math.ceil(perMs / 1_000),
      left: counted.remainingPoints,
      resetSeconds: Math.max(1, Math.ceil(counted.msBeforeNext / 1_000)),
      exceeded,
    };
  };
}
