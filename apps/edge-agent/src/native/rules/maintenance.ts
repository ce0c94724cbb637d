import type { RouteRecord } from '@lockstep/contract';
import type { Gate } from './rule.ts';

const usualRetryAfterSeconds = 300;

/** `maintenance` of a route. */
export function compileMaintenance({ maintenance }: RouteRecord): Gate | null {
  if (maintenance === undefined || maintenance === false) return null;
  const { until, retryAfterSeconds } = maintenance === true ? {} : maintenance;
  const endsAt = until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until);
  return {
    pass() {
      const leftMs = endsAt - Date.now();
      if (leftMs <= 0) return null;
      const left = Number.isFinite(leftMs) ? Math.ceil(leftMs / 1_000) : usualRetryAfterSeconds;
      return { reason: 'maintenance', fields: ['retry-after', String(retryAfterSeconds ?? left)] };
    },
  };
}
