import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createDeniedAddresses } from '@lockstep/pki/denied-addresses';
import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { createGuardedFetch } from '../../src/outbound/guarded-fetch.ts';
import { startControlPlane } from '../start-control-plane.ts';

t.test('an upstream at a denied address is refused when the route is written', async (t) => {
  const { call, report, url: apiUrl, address } = await startControlPlane(t, testFolder(t));
  await report('edge-1');
  await report('edge-2', { addresses: { https: '', http: '', admin: 'nonsense' } });
  const post = (url: string) =>
    call('POST', '/v1/routes', {
      body: { hosts: ['a.example.com'], upstreams: [{ url: 'http://10.0.0.1' }, { url }] },
    });
  for (const url of [
    'http://169.254.169.254',
    'http://2852039166:8080',
    'http://[::ffff:169.254.169.254]',
    'https://[fe80::1]',
    apiUrl,
    `http://localhost:${address.port}`,
    'http://127.0.0.1:9100',
  ]) {
    const { status, body } = await post(url);
    t.equal(status, 400, url);
    t.match(body, { code: 'invalid_request', errors: [{ pointer: '/upstreams/1/url' }] });
  }
  const { status, body } = await post('http://127.0.0.1:9101');
  t.equal(status, 201);
  t.equal(
    (await call('PATCH', `/v1/routes/${body.id}`, { body: { upstreams: [{ url: 'http://169.254.1.1' }] } }))
      .status,
    400,
  );
});

t.test('settings name no denied address for on-demand, and say which are denied', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const patch = (body: unknown) => call('PATCH', '/v1/settings', { body });
  t.match(await patch({ onDemand: { ask: 'http://169.254.169.254/latest' } }), {
    status: 400,
    body: { errors: [{ pointer: '/onDemand/ask' }] },
  });
  t.match(
    await patch({ onDemand: { ask: 'http://127.0.0.1:1', upstreams: [{ url: 'http://169.254.169.254' }] } }),
    { status: 400, body: { errors: [{ pointer: '/onDemand/upstreams/0/url' }] } },
  );
  t.equal((await patch({ edge: { deny: ['198.51.100.0/24'] } })).status, 200);
  const post = (url: string, host: string) =>
    call('POST', '/v1/routes', { body: { hosts: [host], upstreams: [{ url }] } });
  t.equal((await post('http://198.51.100.7', 'a.example.com')).status, 400);
  t.equal(
    (await post('http://169.254.169.254', 'b.example.com')).status,
    201,
    'the list is replaced as a whole',
  );
  t.equal((await patch({ edge: { deny: ['nonsense'] } })).status, 400);
});

t.test('ask endpoints and providers are held against the address that a name stands for', async (t) => {
  let connections = 0;
  const server = createServer((_request, response) => response.end('yes')).listen(0, '127.0.0.1');
  server.on('connection', () => {
    connections += 1;
  });
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  let denied = createDeniedAddresses(['127.0.0.0/8', '::1']);
  const fetch = createGuardedFetch(() => denied);
  for (const host of ['localhost', '127.0.0.1', '[::ffff:127.0.0.1]']) {
    await t.rejects(fetch(`http://${host}:${port}/`), { cause: { code: 'ADDRESS_DENIED' } }, host);
  }
  t.equal(connections, 0);
  denied = createDeniedAddresses([]);
  t.equal(await (await fetch(`http://localhost:${port}/`)).text(), 'yes');
});
