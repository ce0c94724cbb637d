import { isDeepStrictEqual } from 'node:util';
import {
  addressOfHost,
  type HostCheck,
  namedHosts,
  type OrderRecord,
  type RouteCheck,
  recordKey,
  type SeenDns,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { isOwn } from '../auth/bounds.ts';
import { commit, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import { inTheirOrder } from '../dns/host-requirements.ts';
import { type HostPolicy, policyBy } from '../issuance/host-context.ts';
import type { Preflight, PreflightResult } from '../issuance/preflight.ts';
import type { OrderQueue } from '../orders/order-queue.ts';
import { forgetFailures, putOrder } from '../orders/order-record.ts';
import type { HostOwnership } from '../ownership/host-ownership.ts';
import { putOwnership } from '../ownership/put-ownership.ts';
import { readOwnership } from '../ownership/read-ownership.ts';
import type { Claim, Judge } from '../ownership/verdicts.ts';
import { iso } from '../time/iso.ts';
import { createLookBound } from './look-bound.ts';
import { routeNotFound } from './route-refusals.ts';

/** Looks now whether orders for the hosts of a route could succeed, and has those that can tried at once. Throws `rate_limited` for too many hosts at once. */
export interface DnsRecheck {
  /** Throws `not_found`. */
  check(origin: WriteOrigin, id: string): Promise<RouteCheck>;
  /** The same for a host as if no route named it, so that it tells of nobody's; nothing is tried. `tenant`: whose it is to be. */
  look(
    origin: Pick<WriteOrigin, 'by' | 'bounds' | 'ownership'>,
    host: string,
    tenant: string | null,
  ): Promise<HostCheck>;
}

type Look = PreflightResult & { host: string };

const unnamed = policyBy([]);

export interface DnsRecheckOptions {
  store: ConfigStore;
  preflight: Preflight;
  queue: Pick<OrderQueue, 'enter'>;
  ownership: Pick<HostOwnership, 'policyOf'>;
  judge: Judge;
  now?: () => number;
}

export function createDnsRecheck({
  store,
  preflight,
  queue,
  ownership,
  judge,
  now = Date.now,
}: DnsRecheckOptions): DnsRecheck {
  const bound = createLookBound();

  /** Keeps what was seen, and ends the wait of those that are well and wait for the DNS, or for another try after a failure. */
  async function take(origin: WriteOrigin, looks: Look[]): Promise<void> {
    const keys = looks.map(({ host }) => recordKey('order', host));
    await writeInTurn(store, keys, async () => {
      const orders = await store.getMany(
        'order',
        looks.map(({ host }) => host),
      );
      const changed = orders.flatMap((order, index) => {
        const value = order === null ? null : after(order.value, looks[index]!);
        return order === null || value === null ? [] : [{ order, value }];
      });
      if (changed.length === 0) return;
      await commit(store, {
        ...origin,
        checks: changed.map(({ order: { id, revision } }) => ({ kind: 'order', id, revision })),
        changes: await Promise.all(
          changed.map(async ({ order: { id }, value }) =>
            putOrder(id, value.woken ? await queue.enter(value.order) : value.order),
          ),
        ),
      });
    });
  }

  /** Null: nothing has changed. */
  function after(
    order: OrderRecord,
    { ok, detail, seen }: Look,
  ): { order: OrderRecord; woken: boolean } | null {
    const { lastError, waitingForDns, unusedSince } = order;
    if (unusedSince !== null) return null;
    const news = !isSameSight(order.seenDns, seen);
    const known = news ? { ...order, seenDns: seen } : order;
    if (ok && (lastError !== null || waitingForDns !== null))
      return { order: forgetFailures(known, now()), woken: true };
    if (!news) return null;
    const told = waitingForDns === null || ok ? waitingForDns : { ...waitingForDns, detail };
    return { order: { ...known, waitingForDns: told }, woken: false };
  }

  async function look(host: string, policy?: HostPolicy, before?: SeenDns | null): Promise<Look> {
    return { host, ...(await preflight.check(host, policy, before)) };
  }

  /** Whether the host is proven comes before where it leads. */
  async function lookAtClaim(
    claim: Claim,
    policy: HostPolicy,
  ): Promise<{ check: HostCheck; proven: boolean }> {
    const [verdict, found] = await Promise.all([judge(claim), look(claim.host, policy)]);
    const proven = verdict.may === 'take';
    const dnsRequirements = inTheirOrder([...found.requirements, ...verdict.requirements]);
    const detail = verdict.may === 'take' ? found.detail : verdict.detail;
    return { check: { host: claim.host, ok: proven && found.ok, detail, dnsRequirements }, proven };
  }

  /** What is proven by now is looked at again at once, to be served. */
  async function wake(origin: WriteOrigin, ids: readonly string[]): Promise<void> {
    for (const id of ids)
      await writeInTurn(store, [recordKey('ownership', id)], async () => {
        const record = await store.get('ownership', id);
        if (record === null || record.value.proven !== null) return;
        await commit(store, {
          ...origin,
          checks: [{ kind: 'ownership', id, revision: record.revision }],
          changes: [putOwnership({ ...record.value, checks: 0, dueAt: iso(now()) })],
        });
      });
  }

  return {
    async look(origin, host, tenant) {
      const policy = ownership.policyOf(origin);
      return bound(origin, 1, async () =>
        policy === 'off' || addressOfHost(host) !== null
          ? shown(await look(host, unnamed))
          : (await lookAtClaim({ host, tenant, policy }, unnamed)).check,
      );
    },
    async check(origin, id) {
      const route = await store.get('route', id);
      if (route === null || !isOwn(origin.bounds, route.value.tenant)) throw routeNotFound(id);
      origin.condition?.(route.revision);
      const named = namedHosts(route.value);
      const [ownershipOf, orders] = await Promise.all([
        readOwnership(store, [{ route, hosts: named }]),
        store.getMany('order', named),
      ]);
      const looks: Look[] = [];
      const proven: string[] = [];
      const checkHost = async (host: string, index: number): Promise<HostCheck> => {
        const { waits, ownership } = ownershipOf(route, host);
        if (!waits) {
          const found = await look(host, undefined, orders[index]?.value.seenDns);
          looks.push(found);
          const more = ownership?.value.requirements ?? [];
          return shown({ ...found, requirements: inTheirOrder([...found.requirements, ...more]) });
        }
        const claim = ownership?.value ?? { host, tenant: route.value.tenant ?? null, policy: null };
        // By this route alone: of what others have with the name, nothing is told.
        const looked = await lookAtClaim(claim, policyBy([route]));
        if (looked.proven && ownership !== null) proven.push(ownership.id);
        return looked.check;
      };
      const hosts = await bound(origin, named.length, () => Promise.all(named.map(checkHost)));
      await take(origin, looks);
      await wake(origin, proven);
      return { route: id, ok: hosts.every(({ ok }) => ok), hosts };
    },
  };
}

function shown({ host, ok, detail, requirements }: Look): HostCheck {
  return { host, ok, detail, dnsRequirements: requirements };
}

function isSameSight(one: SeenDns | null, other: SeenDns | null): boolean {
  return isDeepStrictEqual({ ...one, at: null }, { ...other, at: null });
}
