import {
  type BucketRecord,
  type Limit,
  type LimitName,
  type LimitState,
  type Limits,
  nextTokenAt,
  recordKey,
  refillMs,
  type StoredRecord,
  takeTokens,
  wholeTokens,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { sweepDue } from '../../changes/sweep-due.ts';
import { commit, writeAtOnce } from '../../changes/writes.ts';
import { identifierOf, registeredDomain } from '../../names/registered-domain.ts';
import { iso } from '../../time/iso.ts';
import { type Exemption, isRefusal, type Ledger, type LedgerEntry, type LedgerRefusal } from './ledger.ts';
import { putBucket } from './put-bucket.ts';

const accountKey = 'account';
/** Beyond this many tokens ahead, or this long, turns begin again at the next token. */
const mostTurns = 100;
const longestMs = 86_400_000;

/** What each limit is counted by, and how an operator is told. */
const counted = {
  newOrders: { key: () => accountKey, shared: true, what: () => 'orders of the account' },
  certificatesPerDomain: { key: registeredDomain, shared: true, what: (key) => `certificates for ${key}` },
  sameNames: {
    key: (host) => host,
    shared: false,
    what: (key) => `certificates for the same name, ${key}`,
  },
  failedAuthorizations: {
    key: identifierOf,
    shared: false,
    what: (key) => `failed authorizations of ${key}`,
  },
  consecutiveFailures: { key: identifierOf, shared: false, what: (key) => `failures in a row of ${key}` },
} satisfies Record<
  LimitName,
  { key: (host: string) => string; shared: boolean; what: (key: string) => string }
>;

/** One of an issuer's limits, as it binds one host. */
interface Bound {
  name: LimitName;
  limit: Limit;
  key: string;
  id: string;
}

export interface LedgerOptions {
  store: ConfigStore;
  /** Percent of each limit that all hosts share, which are kept for hosts whose caller waits. */
  waitingShare?: () => number;
  now?: () => number;
  /** Spends the pause before another try at a hot bucket. */
  wait?: (ms: number) => Promise<void>;
}

export function createLedger({ store, waitingShare = () => 0, now = Date.now, wait }: LedgerOptions): Ledger {
  const appointments = createAppointments();

  /** Of a limit that all share: at least one token is left to the others. */
  function keptOf({ count }: Limit): number {
    return Math.min(count - 1, Math.floor((count * waitingShare()) / 100));
  }

  async function read(ids: string[]): Promise<Map<string, StoredRecord<'bucket'> | null>> {
    const records = await store.getMany('bucket', ids);
    return new Map(ids.map((id, index) => [id, records[index] ?? null]));
  }

  /** Takes so many tokens of each limit; a negative number gives them back. */
  async function take(
    issuer: string,
    limits: Limits | null,
    host: string,
    amounts: Partial<Record<LimitName, number>>,
  ): Promise<LedgerEntry> {
    const bounds = boundsOf(issuer, limits, host, Object.keys(amounts) as LimitName[]);
    const records = await read(bounds.map(({ id }) => id));
    return entryOf(bounds, records, amounts);
  }

  function entryOf(
    bounds: Bound[],
    records: Map<string, StoredRecord<'bucket'> | null>,
    amounts: Partial<Record<LimitName, number>>,
  ): LedgerEntry {
    const changes = bounds.flatMap(({ name, limit, id }) => {
      const record = records.get(id) ?? null;
      const amount = amounts[name] ?? 0;
      if (amount === 0 || (amount < 0 && record === null)) return [];
      return [putBucket(id, takeTokens(record?.value ?? null, limit, now(), amount), limit)];
    });
    return { checks: checksOf(records), changes };
  }

  return {
    async spendOrder(issuer, limits, host, exempt, bulk = false) {
      const spent = spentBy(exempt);
      const watched: LimitName[] = exempt === true ? [] : ['failedAuthorizations', 'consecutiveFailures'];
      const bounds = boundsOf(issuer, limits, host, [...spent, ...watched]);
      const pauses = pauseIds(issuer, host);
      const records = await read([...pauses, ...bounds.map(({ id }) => id)]);
      const refusals: LedgerRefusal[] = [];
      for (const id of pauses) {
        const until = records.get(id)?.value.pausedUntil ?? 0;
        if (until > now()) refusals.push({ until, detail: pauseDetail(issuer, id, until) });
      }
      for (const { name, limit, key, id } of bounds) {
        const bucket = records.get(id)?.value ?? null;
        const { shared } = counted[name];
        const kept = bulk && shared ? keptOf(limit) : 0;
        if (wholeTokens(bucket, limit, now()) >= 1 + kept) continue;
        const next = nextTokenAt(bucket, limit, now(), kept) ?? now();
        // Those that somebody waits for stand in a row of their own, or their turn would be after all others'.
        const row = bulk ? id : `${id}/waited`;
        const until = shared ? appointments.give(row, next, refillMs(limit), now()) : next;
        const rest = kept === 0 ? '' : `, but for the ${kept} that are kept for hosts whose caller waits`;
        const what = `the limit of ${limit.count} ${counted[name].what(key)} is used up${rest}`;
        refusals.push({ until, detail: `issuer ${issuer}: ${what}; its next turn is at ${iso(until)}` });
      }
      if (refusals.length > 0) return refusals.reduce((a, b) => (b.until > a.until ? b : a));
      return entryOf(bounds, records, Object.fromEntries(spent.map((name) => [name, 1])));
    },

    failAuthorization: (issuer, limits, host, exempt = false) =>
      take(issuer, limits, host, {
        ...unspent(exempt),
        failedAuthorizations: 1,
        consecutiveFailures: 1,
      }),

    giveBack: (issuer, limits, host, exempt = false) => take(issuer, limits, host, unspent(exempt)),

    succeed: (issuer, limits, host) =>
      take(issuer, limits, host, { consecutiveFailures: Number.NEGATIVE_INFINITY }),

    async pause(issuer, until, key = '') {
      const id = bucketId(issuer, 'pause', key);
      const records = await read([id]);
      if ((records.get(id)?.value.pausedUntil ?? 0) >= until) return { checks: [], changes: [] };
      const value: BucketRecord = { tokens: 0, at: now(), pausedUntil: until };
      return {
        checks: checksOf(records),
        changes: [{ op: 'put', kind: 'bucket', id, value, dueAt: until }],
      };
    },

    async states(issuer, limits, { limit, cursor }) {
      const prefix = `${issuer}/`;
      const page = await store.list('bucket', { limit, cursor: prefix + (cursor ?? '') });
      const mine = page.items.filter(({ id }) => id.startsWith(prefix));
      const paused = (await store.get('bucket', bucketId(issuer, 'pause', '')))?.value.pausedUntil ?? 0;
      const last = mine.at(-1);
      const more = page.next !== null && mine.length === page.items.length && last !== undefined;
      return {
        retryAt: paused > now() ? iso(paused) : null,
        items: mine.flatMap((record) => stateOf(record, limits, now())),
        next: more ? last.id.slice(prefix.length) : null,
      };
    },

    spend: (issuer, build) =>
      writeAtOnce(
        store,
        [recordKey('bucket', issuer)],
        async () => {
          const built = await build();
          return isRefusal(built) ? built : commit(store, built);
        },
        { kind: 'bucket', wait },
      ),

    sweep: (signal) => sweepDue({ store, kind: 'bucket', now: now(), signal }),
  };
}

/** What an order takes a token of. */
function spentBy(exempt: Exemption): LimitName[] {
  if (exempt === true) return [];
  return exempt === 'renewal' ? ['sameNames'] : ['newOrders', 'certificatesPerDomain', 'sameNames'];
}

/** What is given back for an order that no certificate came of: CAs count certificates when they issue them. */
function unspent(exempt: Exemption): Partial<Record<LimitName, number>> {
  const names = spentBy(exempt).filter((name) => name !== 'newOrders');
  return Object.fromEntries(names.map((name) => [name, -1]));
}

function boundsOf(issuer: string, limits: Limits | null, host: string, names: LimitName[]): Bound[] {
  return names.flatMap((name) => {
    const limit = limits?.[name];
    if (limit == null) return [];
    const key = counted[name].key(host);
    return [{ name, limit, key, id: bucketId(issuer, name, key) }];
  });
}

function checksOf(records: Map<string, StoredRecord<'bucket'> | null>): LedgerEntry['checks'] {
  return [...records].map(([id, record]) => ({ kind: 'bucket', id, revision: record?.revision ?? null }));
}

function pauseIds(issuer: string, host: string): string[] {
  const keys = new Set(['', identifierOf(host), registeredDomain(host)]);
  return [...keys].map((key) => bucketId(issuer, 'pause', key));
}

function pauseDetail(issuer: string, id: string, until: number): string {
  const about = id.slice(bucketId(issuer, 'pause', '').length);
  return `issuer ${issuer} asked to be left alone${about && ` with ${about}`} until ${iso(until)}`;
}

function stateOf({ id, value }: StoredRecord<'bucket'>, limits: Limits | null, now: number): LimitState[] {
  const [, name = '', ...rest] = id.split('/');
  const limit = limits?.[name as LimitName];
  if (limit == null) return [];
  const nextAt = nextTokenAt(value, limit, now);
  if (nextAt === null) return [];
  const key = rest.join('/');
  return [
    {
      limit: name,
      key: key === accountKey && name === 'newOrders' ? null : key,
      ...limit,
      left: wholeTokens(value, limit, now),
      nextAt: iso(nextAt),
    },
  ];
}

function bucketId(issuer: string, name: string, key: string): string {
  return `${issuer}/${name}/${key}`;
}

/**
 * When those who found a shared bucket empty shall come again: one after another as tokens will be there, instead of all of them
 * for the next token, of whom all but one would have come for nothing. A turn is an appointment and no token; whoever is beaten to
 * it gets another. Kept in memory: each control plane spreads its own.
 */
function createAppointments() {
  const given = new Map<string, number>();
  return {
    /** A turn at `next`, when the next token is there, or later. All in milliseconds. */
    give(bucket: string, next: number, refillMs: number, now: number): number {
      for (const [id, until] of given) {
        if (until > now) break; // roughly in the order in which they were given; a few more do no harm
        given.delete(id);
      }
      let until = Math.max(next, (given.get(bucket) ?? 0) + refillMs);
      if (until - next > Math.min(mostTurns * refillMs, longestMs)) until = next;
      given.delete(bucket);
      given.set(bucket, until);
      return until;
    },
  };
}
