import { createSqliteStore } from '@lockstep/store';
import t from 'tap';
import { createOrderRunner } from '../../src/issuance/order-runner.ts';
import type { OrderSteps } from '../../src/issuance/order-steps.ts';
import { createOrderQueue } from '../../src/orders/order-queue.ts';
import { createRouteService } from '../../src/routes/route-service.ts';
import { byAdmin } from '../by-admin.ts';

const host = 'shop.example.com';
const body = (id: string) => ({
  id,
  hosts: [host],
  paths: [`/${id}`],
  upstreams: [{ url: 'http://127.0.0.1:3000' }],
});

async function start(test: Pick<typeof t, 'teardown'>, next: OrderSteps['next']) {
  const store = createSqliteStore({ path: ':memory:' });
  test.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  const service = createRouteService({ store, queue: createOrderQueue({ store }), check: async () => [] });
  const runner = createOrderRunner({
    store,
    ledger: { spend: async () => t.fail() as never },
    steps: { next },
  });
  const order = async () => (await store.get('order', host))?.value;
  return { store, service, order, run: () => runner.run(host, new AbortController().signal) };
}

t.test(
  'what a CA was asked for is written down, though routes come to name the host meanwhile',
  async (t) => {
    let asked = 0;
    const { service, order, run } = await start(t, async (record, { write }) => {
      asked += 1;
      for (let path = 0; path < 5; path += 1) await service.create(byAdmin, body(`during-${path}`));
      const ordered = {
        ...record.value,
        issuer: 'ca',
        step: 'ordered' as const,
        orderUrl: 'https://ca.test/order/1',
      };
      t.not(await write(record, { order: ordered, changes: [], waitMs: 60_000 }), null);
      return null;
    });
    await service.create(byAdmin, body('first'));
    await run();
    t.equal(asked, 1);
    t.match(await order(), { step: 'ordered', orderUrl: 'https://ca.test/order/1', unusedSince: null });
  },
);

t.test('a step is not written onto an order that was given up meanwhile', async (t) => {
  const { service, order, run } = await start(t, async (record, { write }) => {
    await service.remove(byAdmin, 'first');
    t.equal(
      await write(record, { order: { ...record.value, step: 'ordered' }, changes: [], waitMs: 0 }),
      null,
    );
    return null;
  });
  await service.create(byAdmin, body('first'));
  await run();
  t.match(await order(), { step: 'idle', unusedSince: String });
});
