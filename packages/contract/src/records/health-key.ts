import { createHash } from 'node:crypto';
import type { RouteHealth } from '../api/route/health.ts';
import type { Upstream } from '../api/upstream.ts';

/**
 * What tells the health of one upstream from that of others: how it is reached, and how its health is known. Routes in which both are the
 * same share its checks and what comes of them. It does not depend on how many requests an upstream is to get.
 */
export function healthKeyOf({ weight, backup, ...reached }: Upstream, health: RouteHealth): string {
  const { noneHealthy, ...known } = health;
  return createHash('sha256')
    .update(JSON.stringify([sorted(reached), sorted(known)]))
    .digest('base64url')
    .slice(0, 16);
}

/** By name: in which order the fields of a record stand is of no concern. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([name, inner]) => [name, sorted(inner)]);
}
