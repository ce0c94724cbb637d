import t from 'tap';
import { createOrderQueue } from '../../src/orders/order-queue.ts';
import { putOrder } from '../../src/orders/order-record.ts';
import { createRouteService, type RouteService } from '../../src/routes/route-service.ts';
import { byAdmin } from '../by-admin.ts';
import { openMeetingStore } from '../meeting-store.ts';

const host = 'shop.example.com';
const body = (id: string) => ({
  id,
  hosts: [host],
  paths: [`/${id}`],
  upstreams: [{ url: 'http://127.0.0.1:3000' }],
});

async function start(test: Pick<typeof t, 'teardown'>) {
  const { store, another, meet } = await openMeetingStore(test);
  const service = createRouteService({ store, queue: createOrderQueue({ store }), check: async () => [] });
  const elsewhere = createRouteService({
    store: another,
    queue: createOrderQueue({ store }),
    check: async () => [],
  });
  const order = async () => (await store.get('order', host))?.value;
  return { service, elsewhere, meet, order, store };
}

t.test('of two routes of a host deleted at once, one lets its certificate go', async (t) => {
  const { service, elsewhere, meet, order } = await start(t);
  await service.create(byAdmin, body('a'));
  await service.create(byAdmin, body('b'));
  meet();
  await Promise.all([service.remove(byAdmin, 'a'), elsewhere.remove(byAdmin, 'b')]);
  t.type((await order())?.unusedSince, 'string');
});

t.test('of a route made and the last other one deleted at once, the certificate stays', async (t) => {
  for (const both of [
    (one: RouteService, other: RouteService) => [one.remove(byAdmin, 'a'), other.create(byAdmin, body('b'))],
    (one: RouteService, other: RouteService) => [one.create(byAdmin, body('b')), other.remove(byAdmin, 'a')],
  ]) {
    const { service, elsewhere, meet, order } = await start(t);
    await service.create(byAdmin, body('a'));
    meet();
    await Promise.all(both(service, elsewhere));
    t.equal((await order())?.unusedSince, null);
  }
});

t.test('one of two routes deleted leaves the certificate to the other', async (t) => {
  const { service, order } = await start(t);
  await service.create(byAdmin, body('a'));
  await service.create(byAdmin, body('b'));
  await service.remove(byAdmin, 'a');
  t.equal((await order())?.unusedSince, null);
});

t.test(
  'a host that is named again goes on where it was: a revoked certificate is replaced at once',
  async (t) => {
    const { service, order, store } = await start(t);
    await service.create(byAdmin, body('a'));
    const far = new Date(Date.now() + 30 * 86_400_000).toISOString();
    await store.commit({
      id: 'revoked',
      changes: [putOrder(host, { ...(await order())!, renewAt: far, renewal: 'revoked', step: 'placed' })],
    });
    await service.remove(byAdmin, 'a');
    await service.create(byAdmin, body('a'));
    const { unusedSince, renewal, dueAt } = (await order())!;
    t.match({ unusedSince, renewal }, { unusedSince: null, renewal: 'revoked' });
    t.ok(Date.parse(dueAt ?? '') <= Date.now(), `due at ${dueAt}`);
  },
);
