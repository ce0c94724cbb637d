import {
  type AttemptsRecord,
  type BucketRecord,
  type LimitName,
  type StoredRecord,
  wholeTokens,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { maxCounted } from '../certificates/expiry-watch.ts';
import { withRoutes } from '../changes/events-of-write.ts';
import type { KnownIssuers } from '../issuers/known-issuers.ts';
import { limitsOf } from '../issuers/ledger/lets-encrypt-limits.ts';
import type { Observation } from './teller.ts';

/** Of a limit: with so little left it is near, and with so much it is not any more. */
const nearShare = 0.2;
const farShare = 0.4;

/** What orders of other hosts may need too. What one host alone spends is told by its own certificate. */
const watchedLimits: readonly string[] = [
  'newOrders',
  'certificatesPerDomain',
  'sameNames',
] satisfies LimitName[];

/** Certificates that expire soon, each told once. `known`: those that were told before. */
export async function observeExpiring(
  store: ConfigStore,
  known: readonly string[],
  now: number,
): Promise<Observation[]> {
  const due = await store.listDue('certificate', now, maxCounted);
  const expiring = await Promise.all(due.map((record) => expiringOne(store, record)));
  const keys = new Set(expiring.map(({ key }) => key));
  const over = known.filter((key) => !keys.has(key)).map((key) => ({ key, state: null }));
  return [...expiring, ...over];
}

async function expiringOne(
  store: ConfigStore,
  { id, revision, value }: StoredRecord<'certificate'>,
): Promise<Observation> {
  const { host, names, issuer, notAfter, fingerprint256, tenant } = value;
  const draft = await withRoutes(store, {
    type: 'certificate.expiring',
    subject: { kind: 'certificate', id },
    tenant,
    data: { hosts: names ?? [host], issuer, notAfter, fingerprint256 },
  });
  return {
    key: `certificate-expiring/${id}`,
    state: 'expiring',
    mark: fingerprint256,
    events: () => [draft],
    check: { kind: 'certificate', id, revision },
  };
}

export interface ObservedIssuer extends Observation {
  /** When the attempt ended that says so: what a later one says goes before it. */
  at: string;
}

/** What an attempt says of its issuer; null: nothing, as what failed is not the issuer's. */
export function observeIssuer(attempt: AttemptsRecord['attempts'][number]): ObservedIssuer | null {
  const { issuer, outcome, failure, detail, at } = attempt;
  const key = `issuer/${issuer}`;
  const subject = { kind: 'issuer', id: issuer } as const;
  if (outcome === 'issued')
    return {
      at,
      key,
      state: 'well',
      events: (before) =>
        before?.state === 'failing' ? [{ type: 'issuer.recovered', subject, data: { issuer, at } }] : [],
    };
  if (failure !== 'unavailable') return null;
  return {
    at,
    key,
    state: 'failing',
    events: () => [{ type: 'issuer.failing', subject, data: { issuer, detail, at } }],
  };
}

/** Whether a bucket is one whose limit is told of. */
export function isWatchedLimit(id: string): boolean {
  return watchedLimits.includes(id.split('/')[1] ?? '');
}

/** How near limits are, by the ids of their buckets. */
export async function observeLimits(
  store: ConfigStore,
  issuers: KnownIssuers,
  ids: readonly string[],
  now: number,
): Promise<Observation[]> {
  const watched = ids.filter(isWatchedLimit);
  if (watched.length === 0) return [];
  const names = [...new Set(watched.map((id) => id.split('/')[0]!))];
  const known = new Map((await issuers.getMany(names)).map((one, index) => [names[index]!, one]));
  const buckets = await store.getMany('bucket', watched);
  return watched.flatMap((id, index): Observation[] => {
    const [name = '', limitName = '', ...rest] = id.split('/');
    const config = known.get(name)?.config;
    const limit = config === undefined ? null : limitsOf(config)?.[limitName as LimitName];
    const bucket: BucketRecord | null = buckets[index]?.value ?? null;
    const key = `limit/${id}`;
    if (limit == null) return [{ key, state: null }];
    const left = wholeTokens(bucket, limit, now);
    if (left >= limit.count * farShare) return [{ key, state: null }];
    if (left > limit.count * nearShare) return [];
    const data = { issuer: name, limit: limitName, key: rest.join('/'), count: limit.count, left };
    return [
      {
        key,
        state: 'near',
        events: () => [{ type: 'limit.near' as const, subject: { kind: 'limit' as const, id }, data }],
      },
    ];
  });
}
