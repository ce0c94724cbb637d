import type { Limits, PutIssuer } from '@lockstep/contract';
import { directoryOf } from '../acme/account-id.ts';

const hour = 3_600;
const day = 24 * hour;
const week = 7 * day;

/** What Let's Encrypt allows one account (letsencrypt.org/docs/rate-limits), November 2026. */
export const letsEncryptLimits = {
  newOrders: { count: 300, refillSeconds: (3 * hour) / 300 },
  certificatesPerDomain: { count: 50, refillSeconds: week / 50 },
  sameNames: { count: 5, refillSeconds: week / 5 },
  failedAuthorizations: { count: 5, refillSeconds: hour / 5 },
  consecutiveFailures: { count: 1_152, refillSeconds: day },
} as const satisfies Limits;

/** Its staging environment is as strict in kind and looser in number. */
const letsEncryptStagingLimits = {
  newOrders: { count: 1_500, refillSeconds: (3 * hour) / 1_500 },
  certificatesPerDomain: { count: 30_000, refillSeconds: week / 30_000 },
  sameNames: { count: 30_000, refillSeconds: week / 30_000 },
  failedAuthorizations: { count: 60, refillSeconds: hour / 60 },
  consecutiveFailures: { count: 1_152, refillSeconds: day },
} as const satisfies Limits;

/**
 * The limits to keep at a directory for which none are configured. Only Let's Encrypt publishes numbers, and goes by them for
 * every account. Others agree on theirs with each customer, or publish none: a guess would hold back orders that the CA would
 * have taken, and their 429 with its Retry-After is heeded all the same.
 */
export function defaultLimits(directory: string): Limits | null {
  if (!URL.canParse(directory)) return null;
  switch (new URL(directory).hostname) {
    case 'acme-v02.api.letsencrypt.org':
      return letsEncryptLimits;
    case 'acme-staging-v02.api.letsencrypt.org':
      return letsEncryptStagingLimits;
    default:
      return null;
  }
}

/** The limits that are kept for an issuer: those configured, else what is known of its directory. */
export function limitsOf(config: PutIssuer): Limits | null {
  if (config.type === 'internal') return null;
  return config.limits ?? defaultLimits(directoryOf(config)?.directory ?? '');
}
