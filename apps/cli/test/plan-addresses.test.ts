import t from 'tap';
import { planAddresses } from '../src/up/plan-addresses.ts';

const ports = { edges: 2, port: 7400, httpsPort: 8443, httpPort: 8080, adminPort: 9100 };

t.test('each edge gets the next port of each range, all on loopback', async (t) => {
  const plan = planAddresses(ports);
  t.strictSame(plan.api, { host: '127.0.0.1', port: 7400 });
  t.strictSame(
    plan.edges.map(({ node, https, http, admin }) => [node, https.port, http.port, admin.port]),
    [
      ['edge-1', 8443, 8080, 9100],
      ['edge-2', 8444, 8081, 9101],
    ],
  );
  t.equal(plan.listeners.length, 7);
  t.ok(plan.listeners.every(({ address }) => address.host === '127.0.0.1'));
});

t.test('two listeners never share a port, however the ranges meet', async (t) => {
  for (const change of [
    { port: 8444 },
    { httpsPort: 8079 },
    { httpPort: 9101 },
    { adminPort: 7399 },
    { edges: 16, httpPort: 8430 },
  ]) {
    t.throws(
      () => planAddresses({ ...ports, ...change }),
      { code: 'bad_configuration' },
      JSON.stringify(change),
    );
  }
});
