import { createRedisStore } from '@lockstep/store';
import { testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { startPebbleFleet } from './fleet/start-pebble-fleet.ts';

const hosts = Array.from({ length: 10 }, (_, index) => `shop-${index}.example.com`);

t.test(
  'a control plane that stood still for longer than its leases changes nothing it no longer owns',
  async (t) => {
    const { fleet, pebble, front, upstream } = await startPebbleFleet(t, {
      dir: testFolder(t),
      controlPlanes: 2,
      faulty: true,
    });
    const [paused, other] = fleet.controlPlanes as [typeof fleet.controlPlane, typeof fleet.controlPlane];
    await other.process.signal('SIGTERM');
    const store = createRedisStore({
      url: fleet.env.LOCKSTEP_STORE,
      prefix: fleet.env.LOCKSTEP_STORE_PREFIX,
    });
    t.teardown(() => store.close());

    // Every order comes as far as the CA's answer to its authorization, and no further.
    const hold = front.faults.add('authz', { fault: 'hang', when: 'before' });
    for (const [index, host] of hosts.entries()) {
      const body = { hosts: [host], upstreams: [{ url: upstream.url }] };
      t.equal((await fleet.call('PUT', `/v1/routes/r${index}`, body)).status, 201);
    }
    const orders = () => store.getMany('order', hosts);
    await waitFor(async () => (await orders()).every((order) => order?.value.step === 'ordered'), {
      what: 'every order to be under way',
    });
    process.kill(paused.process.pid, 'SIGSTOP');
    hold();
    await other.start();
    await waitFor(async () => (await orders()).every((order) => order?.value.renewAt != null), {
      what: 'the other control plane to finish the orders',
    });
    // Renewal information is asked for after that.
    await waitFor(async () => (await orders()).every((order) => order?.value.ari?.window != null), {
      what: 'the orders to come to rest',
    });
    const before = { orders: await orders(), certificates: await store.getMany('certificate', hosts) };
    t.equal(pebble.orderCount(), hosts.length, 'the orders were resumed, not made again');

    process.kill(paused.process.pid, 'SIGCONT');
    await other.process.signal('SIGTERM');
    // What it was in the middle of is over by the time it has obtained another certificate.
    const { body } = await fleet.post('another.example.com', upstream.url);
    t.equal(body.status.state, 'live');
    t.strictSame(
      { orders: await orders(), certificates: await store.getMany('certificate', hosts) },
      before,
      'what the other one wrote stands',
    );
    t.equal(pebble.orderCount(), hosts.length + 1, 'nothing was ordered twice');
  },
);
