import { randomUUID } from 'node:crypto';
import { idleOrder, type OrderRecord, orderLanes } from '@lockstep/contract';
import { type Change, createRedisStore } from '@lockstep/store';

const routesPerCommit = 200;

/** Routes whose certificates were tried once and are all due to be tried again, as after an outage: written straight into the store. */
export async function seedFailingHosts(
  { url, prefix }: { url: string; prefix: string },
  hosts: string[],
  upstream: string,
): Promise<void> {
  const store = createRedisStore({ url, prefix });
  try {
    await store.open({ create: false, expectedEpoch: null });
    const at = new Date(Date.now() - 60_000).toISOString();
    for (let from = 0; from < hosts.length; from += routesPerCommit) {
      const changes = hosts
        .slice(from, from + routesPerCommit)
        .flatMap((host) => recordsOf(host, upstream, at));
      await store.commit({ id: randomUUID(), changes });
    }
  } finally {
    await store.close();
  }
}

function recordsOf(host: string, upstream: string, at: string): Change[] {
  const route = { hosts: [host], paths: ['/'], upstreams: [{ url: upstream }], createdAt: at, updatedAt: at };
  const order: OrderRecord = {
    ...idleOrder(host, at, at),
    attempts: 1,
    failures: 1,
    lastError: { detail: 'did not validate', issuer: 'acme', step: 'validating', type: null, at },
  };
  return [
    { op: 'put', kind: 'route', id: `bad-${host}`, value: route, claims: [`${host} /`] },
    { op: 'put', kind: 'order', id: host, value: order, dueAt: Date.parse(at), lane: orderLanes.retry },
  ];
}
