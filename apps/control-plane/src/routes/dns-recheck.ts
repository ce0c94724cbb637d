import { isDeepStrictEqual } from 'node:util';
import {
  type HostCheck,
  type OrderRecord,
  type RouteCheck,
  recordKey,
  type SeenDns,
  servedHosts,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { isOwn } from '../auth/bounds.ts';
import { commit, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import type { HostPolicy } from '../issuance/host-context.ts';
import type { Preflight, PreflightResult } from '../issuance/preflight.ts';
import type { OrderQueue } from '../orders/order-queue.ts';
import { forgetFailures, putOrder } from '../orders/order-record.ts';
import { routeNotFound } from './route-refusals.ts';

/** Looks now whether orders for the hosts of a route could succeed, and has those that can tried at once. */
export interface DnsRecheck {
  /** Throws `not_found`. */
  check(origin: WriteOrigin, id: string): Promise<RouteCheck>;
  /** The same for a host as if no route named it, so that it tells of nobody's; nothing is tried. */
  look(host: string): Promise<HostCheck>;
}

type Look = PreflightResult & { host: string };

const unnamed: HostPolicy = { named: false, issuers: null, challenge: null, proxied: false };

export interface DnsRecheckOptions {
  store: ConfigStore;
  preflight: Preflight;
  queue: Pick<OrderQueue, 'enter'>;
  now?: () => number;
}

export function createDnsRecheck({ store, preflight, queue, now = Date.now }: DnsRecheckOptions): DnsRecheck {
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

  return {
    look: async (host) => shown(await look(host, unnamed)),
    async check(origin, id) {
      const route = await store.get('route', id);
      if (route === null || !isOwn(origin.bounds, route.value.tenant)) throw routeNotFound(id);
      origin.condition?.(route.revision);
      const hosts = servedHosts(route.value);
      const orders = await store.getMany('order', hosts);
      const looks = await Promise.all(
        hosts.map((host, index) => look(host, undefined, orders[index]?.value.seenDns)),
      );
      await take(origin, looks);
      return { route: id, ok: looks.every(({ ok }) => ok), hosts: looks.map(shown) };
    },
  };
}

function shown({ host, ok, detail, requirements }: Look): HostCheck {
  return { host, ok, detail, dnsRequirements: requirements };
}

function isSameSight(one: SeenDns | null, other: SeenDns | null): boolean {
  return isDeepStrictEqual({ ...one, at: null }, { ...other, at: null });
}
