import {
  broughtIssuer,
  isAppError,
  recordKey,
  type StapleRecord,
  type StoredRecord,
} from '@lockstep/contract';
import type { Change, ConfigStore, Lease } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ChangeHub } from '../changes/change-hub.ts';
import { commitUnlessChanged } from '../changes/writes.ts';
import { createDueWork } from '../due-work/due-work.ts';
import { iso } from '../time/iso.ts';
import { refreshAt, retryMs } from './staple-times.ts';

/** Responders that are asked at once. */
const defaultConcurrency = 8;
const timeoutMs = 10_000;
/** Longer than a fetch may take, with the reads and the commit around it. */
const leaseMs = 30_000;
/** So many failures in a row, of whichever certificates, and a responder is taken to be down. */
const patience = 3;
const longestRestMs = 3_600_000;
/** How long the stapler sleeps at the most: hints may be lost. */
const idleMs = 10_000;

export interface FetchedStaple {
  /** DER. */
  response: Buffer;
  status: 'good' | 'revoked' | 'unknown';
  thisUpdate: string | number | Date;
  nextUpdate: string | number | Date;
}

export type FetchStaple = (options: {
  url: string;
  /** PEM, leaf first. */
  chain: string;
  now: number;
  timeoutMs?: number;
  signal?: AbortSignal;
}) => Promise<FetchedStaple>;

/**
 * Keeps the stapled OCSP responses of all certificates current, each fetched once for the whole fleet. A responder that fails
 * leaves the response there was, which edges staple until its `nextUpdate`; without one they serve all the same.
 */
export interface Stapler {
  readonly counts: Readonly<Record<'refreshed' | 'failed' | 'postponed' | 'revoked', number>>;
  close(): Promise<void>;
}

export interface StaplerOptions {
  store: ConfigStore;
  hub: ChangeHub;
  log: Logger;
  fetchStaple: FetchStaple;
  /** The CA revoked a managed certificate: it has to be obtained again. May be called more than once. `cause`: the staple's revision. */
  onRevoked: (certificateId: string, cause: number) => Promise<void>;
  concurrency?: number;
  now?: () => number;
}

export function createStapler(options: StaplerOptions): Stapler {
  const { store, hub, log, fetchStaple, onRevoked } = options;
  const { concurrency = defaultConcurrency, now = Date.now } = options;
  const responders = createResponders(now);
  const counts = { refreshed: 0, failed: 0, postponed: 0, revoked: 0 };
  const work = createDueWork({
    store,
    kind: 'staple',
    lanes: { staples: { slots: concurrency } },
    run: (_lane, { id }, signal) => renew(id, signal),
    idleMs,
    elsewhereMs: leaseMs / 3,
    log,
    now,
  });

  /** False when another control plane has it. */
  async function renew(id: string, signal: AbortSignal): Promise<boolean> {
    const lease = await store.acquireLease(recordKey('staple', id), leaseMs);
    if (lease === null) return false;
    try {
      const record = await store.get('staple', id);
      if (record === null || Date.parse(record.value.dueAt) > now()) return true;
      const certificate = await store.get('certificate', id);
      const change =
        certificate?.value.fingerprint256 === record.value.fingerprint256
          ? putStaple(id, await refresh(record, certificate, signal))
          : ({ op: 'delete', kind: 'staple', id } as const);
      if (!signal.aborted) await write(record, change, lease);
    } finally {
      await store
        .releaseLease(lease)
        .catch((error: unknown) => log.debug({ err: error }, 'could not release a lease'));
    }
    return true;
  }

  async function refresh(
    { id, revision, value }: StoredRecord<'staple'>,
    certificate: StoredRecord<'certificate'>,
    signal: AbortSignal,
  ): Promise<StapleRecord> {
    const { url } = value;
    if (responders.isDown(url)) {
      counts.postponed += 1;
      return failed(value, value.lastError ?? 'the responder does not answer');
    }
    let fetched: FetchedStaple;
    try {
      const { chain } = certificate.value;
      fetched = await fetchStaple({ url, chain, now: now(), timeoutMs, signal });
      if (!(new Date(fetched.nextUpdate).getTime() > now())) throw new Error('the response is out of date');
      responders.answered(url);
    } catch (error) {
      if (!signal.aborted) {
        responders.failed(url);
        counts.failed += 1;
        log.debug({ err: error, certificate: id, url }, 'could not fetch a staple');
      }
      return failed(value, error instanceof Error ? error.message : String(error));
    }
    if (fetched.status === 'good') {
      const times = {
        thisUpdate: new Date(fetched.thisUpdate).getTime(),
        nextUpdate: new Date(fetched.nextUpdate).getTime(),
      };
      counts.refreshed += 1;
      return {
        ...value,
        response: fetched.response.toString('base64'),
        nextUpdate: iso(times.nextUpdate),
        failures: 0,
        lastError: null,
        dueAt: iso(refreshAt(times, now())),
      };
    }
    if (fetched.status === 'revoked') await reportRevoked(certificate, revision);
    else counts.failed += 1;
    // The response there was still says "good", and is current until its nextUpdate: it bridges the time to a new certificate.
    return failed(value, `the responder says that the certificate is ${fetched.status}`);
  }

  async function reportRevoked({ id, value }: StoredRecord<'certificate'>, cause: number): Promise<void> {
    counts.revoked += 1;
    log.warn({ certificate: id, issuer: value.issuer }, 'the CA says that this certificate is revoked');
    if (value.issuer === broughtIssuer || value.revokedAt != null) return;
    try {
      await onRevoked(id, cause);
    } catch (error) {
      log.error({ err: error, certificate: id }, 'could not have a revoked certificate obtained again');
    }
  }

  function failed(value: StapleRecord, lastError: string): StapleRecord {
    const failures = value.failures + 1;
    const dueAt = new Date(now() + retryMs(failures)).toISOString();
    return { ...value, failures, lastError, dueAt };
  }

  async function write(
    { id, revision }: StoredRecord<'staple'>,
    change: Change,
    lease: Lease,
  ): Promise<void> {
    try {
      // Where it changed, a new certificate came meanwhile, with a staple record of its own.
      await commitUnlessChanged(store, {
        by: { kind: 'stapler' },
        cause: revision,
        lease,
        checks: [{ kind: 'staple', id, revision }],
        changes: [change],
      });
    } catch (error) {
      if (!isAppError(error, 'lease_lost')) throw error; // another control plane took over
    }
  }

  // A staple record comes in the same commit as its certificate.
  const unwatch = hub.watch((entry) => {
    if (entry === null || entry.changes.some(({ kind }) => kind === 'certificate')) work.wake();
  });

  return {
    counts,
    async close() {
      unwatch();
      await work.close();
    },
  };
}

function putStaple(id: string, value: StapleRecord): Change {
  return { op: 'put', kind: 'staple', id, value, dueAt: Date.parse(value.dueAt) };
}

/**
 * Which responders are down, as this process found. Without it, each certificate of a dead responder would hold a place for a
 * whole time-out, and those of a live one would wait behind them.
 */
function createResponders(now: () => number) {
  const failing = new Map<string, { failures: number; until: number }>();
  return {
    isDown(url: string): boolean {
      return (failing.get(originOf(url))?.until ?? 0) > now();
    },
    answered(url: string): void {
      failing.delete(originOf(url));
    },
    failed(url: string): void {
      const failures = (failing.get(originOf(url))?.failures ?? 0) + 1;
      const restMs = failures < patience ? 0 : Math.min(longestRestMs, retryMs(failures - patience + 1));
      failing.set(originOf(url), { failures, until: now() + restMs });
    },
  };
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : url;
}
