import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ChangeHub } from '../changes/change-hub.ts';
import { isBrought, isBroughtId } from './brought.ts';

/** More are not counted: something is wrong long before. */
export const maxCounted = 1_000;
const lookIntervalMs = 60_000;
/** The warnings of one day are the work of whoever is granted this lease, and it is left to run out. */
const warningLease = 'expiry-warning';
const warningIntervalMs = 86_400_000;

/** How many certificates expire soon, at most 1,000 of each origin's. */
export interface Expiring {
  managed: number;
  brought: number;
}

/**
 * Counts certificates that expire soon, every minute, and warns of brought ones once a day in the whole fleet: nobody renews those but
 * their owner. A managed one that expires soon has failed to renew, which its order's `lastError` tells of.
 */
export interface ExpiryWatch {
  expiring(): Expiring;
  /** Looks now. Throws `store_unavailable`. */
  look(): Promise<void>;
  close(): void;
}

export interface ExpiryWatchOptions {
  store: ConfigStore;
  hub: ChangeHub;
  log: Logger;
  now?: () => number;
}

export function createExpiryWatch({ store, hub, log, now = Date.now }: ExpiryWatchOptions): ExpiryWatch {
  let counted: Expiring = { managed: 0, brought: 0 };

  async function look(): Promise<void> {
    const due = await store.listDue('certificate', now(), maxCounted);
    const brought = due.filter(isBrought);
    counted = { managed: due.length - brought.length, brought: brought.length };
    if (brought.length === 0 || (await store.acquireLease(warningLease, warningIntervalMs)) === null) return;
    for (const { id, value } of brought) {
      const { names, notAfter } = value;
      const state = Date.parse(notAfter) > now() ? 'expires soon' : 'has expired';
      log.warn({ certificate: id, names, notAfter }, `a brought certificate ${state}; bring its successor`);
    }
  }

  const lookLater = () => {
    look().catch((error: unknown) =>
      log.warn({ err: error }, 'cannot count the certificates that expire soon'),
    );
  };
  const unwatch = hub.watch((entry) => {
    const brought = entry?.changes.some(({ kind, id }) => kind === 'certificate' && isBroughtId(id));
    if (brought) lookLater();
  });
  const timer = setInterval(lookLater, lookIntervalMs);
  lookLater();

  return {
    expiring: () => counted,
    look,
    close() {
      unwatch();
      clearInterval(timer);
    },
  };
}
