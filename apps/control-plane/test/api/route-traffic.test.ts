import { durationBucket, type Hint, noTraffic, type Traffic } from '@lockstep/contract';
import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { startControlPlane } from '../start-control-plane.ts';

const served = (requests: number, ms: number): Traffic => {
  const traffic = { ...noTraffic(), requests, errors: 1, bytesIn: 10, bytesOut: 100 };
  traffic.durations[durationBucket(ms)] = requests;
  return traffic;
};

t.test('what the edges served of a route is added up, and who does not answer is named', async (t) => {
  const { call, report, store } = await startControlPlane(t, testFolder(t));
  for (const node of ['edge-1', 'edge-2', 'edge-3']) await report(node);
  t.equal((await call('GET', '/v1/routes/shop/traffic')).status, 404);
  await call('POST', '/v1/routes', {
    body: { id: 'shop', hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] },
  });
  t.teardown(
    store.watchHints((hint: Hint) => {
      if (hint.hint !== 'traffic') return;
      const { id, route } = hint;
      const say = (node: string, traffic: unknown) =>
        store.sendHint({ hint: 'traffic-served', id, node, traffic: traffic as Traffic[] });
      t.equal(route, 'shop');
      say('edge-1', [served(1, 1), served(5, 1), served(50, 1)]);
      say('edge-1', [served(9, 1), served(9, 1), served(9, 1)]);
      say('edge-2', [noTraffic(), served(5, 100), served(150, 100)]);
      say('edge-3', [{ requests: 'many' }]);
      say('stranger', [served(9, 1), served(9, 1), served(9, 1)]);
    }),
  );
  const { status, body } = await call('GET', '/v1/routes/shop/traffic');
  t.equal(status, 200);
  t.match(body, {
    route: 'shop',
    windows: [
      { minutes: 1, requests: 1, errors: 1, bytes: { in: 10, out: 100 } },
      { minutes: 5, requests: 10, errors: 2, bytes: { in: 20, out: 200 } },
      { minutes: 60, requests: 200, errors: 2, bytes: { in: 20, out: 200 } },
    ],
    nodes: { answered: ['edge-1', 'edge-2'], missing: ['edge-3'] },
  });
  const [, , hour] = body.windows;
  t.ok(Math.abs(hour.p50Ms - 100) < 20, `${hour.p50Ms}`);
  t.ok(Math.abs(hour.p99Ms - 100) < 20, `${hour.p99Ms}`);
});

t.test('without edges there is no traffic', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  await call('POST', '/v1/routes', {
    body: { id: 'shop', hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] },
  });
  t.match((await call('GET', '/v1/routes/shop/traffic')).body, {
    windows: [{ requests: 0, p50Ms: null }, {}, {}],
    nodes: { answered: [], missing: [] },
  });
});
