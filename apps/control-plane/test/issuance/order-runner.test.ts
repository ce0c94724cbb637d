import { createSqliteStore } from '@lockstep/store';
import t from 'tap';
import type { Attempts } from '../../src/issuance/attempts.ts';
import { createOrderRunner } from '../../src/issuance/order-runner.ts';
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

async function start(test: Pick<typeof t, 'teardown'>, begin: Attempts['begin']) {
  const store = createSqliteStore({ path: ':memory:' });
  test.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  const service = createRouteService({ store, queue: createOrderQueue({ store }), check: async () => [] });
  const runner = createOrderRunner({
    store,
    ledger: { spend: async () => t.fail() as never },
    settings: { refresh: async () => {} },
    renewals: { next: async () => null },
    attempts: { begin, resume: async () => t.fail() as never, cleanUp: async () => {} },
  });
  const order = async () => (await store.get('order', host))?.value;
  return { store, service, order, run: () => runner.run(host, new AbortController().signal) };
}

t.test(
  'what a CA was asked for is written down, though routes come to name the host meanwhile',
  async (t) => {
    let asked = 0;
    const { service, order, run } = await start(t, async (record, _context, { write }) => {
      asked += 1;
      for (let path = 0; path < 5; path += 1) await service.create(byAdmin, body(`during-${path}`));
      const ordered = {
        ...record.value,
        issuer: 'ca',
        step: 'ordered' as const,
        orderUrl: 'https://ca.test/order/1',
      };
      const outcome = { order: ordered, waitMs: 60_000 };
      t.equal(await write(outcome), outcome);
      return outcome;
    });
    await service.create(byAdmin, body('first'));
    await run();
    t.equal(asked, 1);
    t.match(await order(), { step: 'ordered', orderUrl: 'https://ca.test/order/1', unusedSince: null });
  },
);

t.test('a step is not written onto an order that was given up meanwhile', async (t) => {
  const { service, order, run } = await start(t, async (record, _context, { write }) => {
    await service.remove(byAdmin, 'first');
    const outcome = await write({ order: { ...record.value, step: 'ordered' } });
    t.equal(outcome.order, record.value);
    return outcome;
  });
  await service.create(byAdmin, body('first'));
  await run();
  t.match(await order(), { step: 'idle', unusedSince: String });
});
