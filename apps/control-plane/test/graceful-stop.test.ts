import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { startIssuance } from './start-issuance.ts';

const host = 'shop.example.com';

t.test(
  'an order that the CA makes while the process is asked to stop is written down, and gone on with',
  async (t) => {
    const world = await startIssuance(t);
    await world.name(host);
    const { front, issuance, store, pebble } = world;
    front.faults.add('newOrder', { fault: 'delay', ms: 500 });
    const stop = new AbortController();
    const running = issuance.runner.run(host, stop.signal);
    await waitFor(() => front.counts.newOrder > 0, { what: 'the CA to be asked for an order' });
    stop.abort(new Error('the control plane stops'));
    await running;
    t.match(await world.order(host), { step: 'ordered', orderUrl: String });
    const lease = await store.acquireLease(`order/${host}`, 1_000);
    t.ok(lease, 'the lease is handed over');
    if (lease !== null) await store.releaseLease(lease);

    front.faults.clear();
    await world.runDue();
    t.ok(await world.certificate(host));
    t.equal(pebble.orderCount(), 1);
  },
);
