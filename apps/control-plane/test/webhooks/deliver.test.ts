import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { recordKey } from '@lockstep/contract';
import { createSealers, generateSecretKey } from '@lockstep/pki';
import { createDeniedAddresses } from '@lockstep/pki/denied-addresses';
import { createLocalhostCertificate } from '@lockstep/testkit';
import t from 'tap';
import { createGuardedFetch } from '../../src/outbound/guarded-fetch.ts';
import { createDeliver } from '../../src/webhooks/deliver.ts';

const id = 'wh_0123456789abcdef0123';
const sealer = createSealers(generateSecretKey()).controlPlanes;
const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const sealedSecrets = sealer.seal(JSON.stringify([{ secret, until: null }]), recordKey('webhook', id));

function send(url: string, { timeoutMs = 15_000, denied = [] as string[] } = {}) {
  const deliver = createDeliver({
    fetch: createGuardedFetch(() => createDeniedAddresses(denied)),
    sealer,
    plainAllowed: () => true,
    userAgent: 'test',
    timeoutMs,
  });
  const message = { id: 'message', at: Date.now(), body: '{}' };
  return deliver(id, { url, sealedSecrets }, message, new AbortController().signal);
}

async function listen(test: Pick<typeof t, 'teardown'>, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  test.teardown(() => server.close().closeAllConnections());
  return (server.address() as AddressInfo).port;
}

async function answering(test: Pick<typeof t, 'teardown'>, listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(test, createServer(listener))}/`;
}

t.test(
  'what takes an event is the head of the answer: no body, however long or slow, keeps the sender',
  async (t) => {
    let open = 0;
    const endless = await answering(t, (request, response) => {
      open += 1;
      response.on('close', () => {
        open -= 1;
      });
      response.writeHead(200);
      const more = () => {
        while (response.write('x'.repeat(65_536)));
        response.once('drain', more);
      };
      more();
      request.resume();
    });
    t.match(await send(endless), { ok: true, status: 200 });
    const slow = await answering(t, (_request, response) => {
      response.writeHead(202).write('x');
      open += 1;
      response.on('close', () => {
        open -= 1;
      });
    });
    t.match(await send(slow, { timeoutMs: 3_000 }), { ok: true, status: 202 });
    while (open > 0) await new Promise((resolve) => setImmediate(resolve));
  },
);

t.test('what does not take it is told in a sentence', async (t) => {
  const silent = await answering(t, () => {});
  const cut = await answering(t, (request) => request.socket.destroy());
  const headers = await answering(t, (_request, response) => {
    response.writeHead(200, { 'x-long': 'x'.repeat(100_000) }).end();
  });
  const moved = await answering(t, (_request, response) => {
    response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end();
  });
  const { chain, keyPem } = await createLocalhostCertificate();
  const secure = await listen(t, createTlsServer({ cert: chain, key: keyPem }));
  const plain = new URL(silent).port;
  for (const [url, detail] of [
    [silent, /^the target gave no answer: none within 0\.3 s$/],
    [cut, /^the target gave no answer: other side closed/],
    [headers, /^the target gave no answer: Headers Overflow/i],
    [
      `https://localhost:${secure}/`,
      /^the target gave no answer: its certificate is not to be trusted: .*certificate/,
    ],
    [`https://127.0.0.1:${plain}/`, /^the target gave no answer: it does not speak TLS there/],
    ['https://nobody.invalid/', /^the target gave no answer: .*nobody\.invalid/],
    ['http://127.0.0.1:25/', /^the target gave no answer: bad port/],
  ] as const)
    t.match(
      await send(url, { timeoutMs: 300 + Number(url !== silent) * 20_000 }),
      { ok: false, status: null, detail },
      url,
    );
  t.match(await send(moved), { ok: false, status: 307, detail: /redirects are not followed/ });
});

t.test(
  'a name that leads to a denied address is refused as it is connected to, whatever it led to before',
  async (t) => {
    let asked = 0;
    const port = new URL(
      await answering(t, (_request, response) => {
        asked += 1;
        response.end();
      }),
    ).port;
    const denied: string[] = [];
    t.match(await send(`http://localhost:${port}/`, { denied }), { ok: true });
    denied.push('127.0.0.0/8', '::1');
    t.match(await send(`http://localhost:${port}/`, { denied }), {
      ok: false,
      detail: /: it leads to an address where nothing may lead$/,
    });
    t.match(await send(`http://[::ffff:127.0.0.1]:${port}/`, { denied }), {
      ok: false,
      detail: /: it leads to an address where nothing may lead$/,
    });
    t.equal(asked, 1);
  },
);
