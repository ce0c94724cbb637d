import { type HostCheck, type RouteCheck, recordKey, servedHosts } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { isOwn } from '../auth/bounds.ts';
import { commit, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import type { HostPolicy } from '../issuance/host-context.ts';
import type { Preflight } from '../issuance/preflight.ts';
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

const unnamed: HostPolicy = { named: false, issuers: null, challenge: null, proxied: false };

export interface DnsRecheckOptions {
  store: ConfigStore;
  preflight: Preflight;
  queue: Pick<OrderQueue, 'enter'>;
  now?: () => number;
}

export function createDnsRecheck({ store, preflight, queue, now = Date.now }: DnsRecheckOptions): DnsRecheck {
  /** Ends the wait of those orders that wait for the DNS, or for another try after a failure. */
  async function wakeOrders(origin: WriteOrigin, hosts: string[]): Promise<void> {
    const keys = hosts.map((host) => recordKey('order', host));
    await writeInTurn(store, keys, async () => {
      const waiting = (await store.getMany('order', hosts)).flatMap((order) => {
        if (order === null) return [];
        const { lastError, waitingForDns, unusedSince } = order.value;
        const held = lastError !== null || waitingForDns !== null;
        return held && unusedSince === null ? [order] : [];
      });
      if (waiting.length === 0) return;
      await commit(store, {
        ...origin,
        checks: waiting.map(({ id, revision }) => ({ kind: 'order', id, revision })),
        changes: await Promise.all(
          waiting.map(async ({ id, value }) => putOrder(id, await queue.enter(forgetFailures(value, now())))),
        ),
      });
    });
  }

  async function look(host: string, policy?: HostPolicy): Promise<HostCheck> {
    const { ok, detail, requirements } = await preflight.check(host, policy);
    return { host, ok, detail, dnsRequirements: requirements };
  }

  return {
    look: (host) => look(host, unnamed),
    async check(origin, id) {
      const route = await store.get('route', id);
      if (route === null || !isOwn(origin.bounds, route.value.tenant)) throw routeNotFound(id);
      origin.condition?.(route.revision);
      const hosts = await Promise.all(servedHosts(route.value).map((host) => look(host)));
      await wakeOrders(
        origin,
        hosts.flatMap(({ host, ok }) => (ok ? [host] : [])),
      );
      return { route: id, ok: hosts.every(({ ok }) => ok), hosts };
    },
  };
}
