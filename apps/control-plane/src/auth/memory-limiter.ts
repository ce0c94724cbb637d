import { createRequire } from 'node:module';
import type { RateLimiterMemory } from 'rate-limiter-flexible';

const require = createRequire(import.meta.url);

/** Counts by key in windows, each of which begins with the first of it. Loaded by the first who counts, and without all the stores that the library knows. */
export function createMemoryLimiter(points: number, windowMs: number): RateLimiterMemory {
  const Limiter = require('rate-limiter-flexible/lib/RateLimiterMemory.js') as typeof RateLimiterMemory;
  return new Limiter({ points, duration: windowMs / 1_000 });
}
