import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { byAdmin } from '../by-admin.ts';
import { startIssuance } from '../start-issuance.ts';

const eab = { kid: 'kid-1', hmacKey: 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W' };

t.test('an issuer of type zerossl fetches its binding by the API key, once, and issues', async (t) => {
  // ZeroSSL itself cannot be had here: its API for bindings is played by this server, and its ACME CA by a Pebble that wants that binding.
  const asked: string[] = [];
  const api = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ success: true, eab_kid: eab.kid, eab_hmac_key: eab.hmacKey }));
  }).listen(0, '127.0.0.1');
  await once(api, 'listening');
  t.teardown(() => {
    api.close();
    api.closeAllConnections();
  });
  const zeroSslApi = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
  const world = await startIssuance(t, {}, { eab, zeroSslApi });
  await world.issuers.put(byAdmin, 'zerossl', { type: 'zerossl', apiKey: 'the-key', keyType: 'ecdsa-p256' });
  await world.settings.patch(byAdmin, { issuers: ['zerossl'] });

  for (const host of ['one.example.com', 'two.example.com']) {
    await world.name(host);
    await world.runUntil(async () => (await world.store.get('certificate', host)) !== null);
    t.equal((await world.certificate(host)).issuer, 'zerossl');
  }
  t.strictSame(asked, ['POST /acme/eab-credentials?access_key=the-key']);
  t.equal(world.pebble.accountCount(), 1);
});
