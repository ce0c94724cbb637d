import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createDeniedAddresses } from '@lockstep/pki/denied-addresses';
import { startDnsServer, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { createHttpProofs } from '../../src/ownership/http-proofs.ts';
import { httpProof } from '../../src/ownership/proofs.ts';
import { createVerdicts } from '../../src/ownership/verdicts.ts';
import { proofOf, setRecord, startTenants } from './start-tenants.ts';

const text = `lockstep-${'x'.repeat(32)}`;
const tokens = async () => text;

/** A server on loopback, to which all names lead but those of 127.0.0.2, where nothing may lead. */
async function start(test: Pick<typeof t, 'teardown'>, answer: (port: number) => RequestListener) {
  let listener: RequestListener = () => {};
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.headers.host?.split(':')[0]}${request.url}`);
    listener(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  test.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  listener = answer(port);
  const ask = createHttpProofs({
    denied: () => createDeniedAddresses(['127.0.0.2']),
    addressesOf: async (name) =>
      name === 'gone.test' ? [] : [name === 'www.private.test' ? '127.0.0.2' : '127.0.0.1'],
    userAgent: 'lockstep/test',
    port,
  });
  const proof = (await httpProof(tokens, { host: 'shop.test', tenant: null }))!;
  return { ask: (host: string) => ask(host, proof), asked, proof };
}

const sends =
  (location: string): RequestListener =>
  (_request, response) =>
    response.writeHead(302, { location }).end();

t.test('a host is proven by the text alone, at an address that does not tell it', async (t) => {
  let body = `${text}\n`;
  let status = 200;
  const { ask, asked, proof } = await start(t, () => (_request, response) => {
    response.writeHead(status).end(body);
  });
  t.notMatch(proof.path, text);
  t.match(await ask('shop.test'), { proven: true, found: [text], failure: null });
  t.strictSame(asked, [`shop.test${proof.path}`]);
  for (const other of [`${text}x`, `<p>${text}</p>`, proof.path, '', `${text}${' '.repeat(5_000)}`]) {
    body = other;
    t.match(await ask('shop.test'), { proven: false, failure: 'answers another text' }, other.slice(0, 60));
  }
  body = text;
  status = 404;
  t.match(await ask('shop.test'), { proven: false, failure: 'answers 404' });
  t.match(await ask('gone.test'), { proven: false, failure: /cannot be asked: gone\.test has no address/ });
  t.equal(
    await httpProof(tokens, { host: '*.shop.test', tenant: null }),
    null,
    'no server answers for a wildcard',
  );
});

t.test(
  'a redirect is followed to the host or its www alone, and never to where nothing may lead',
  async (t) => {
    let target = (_port: number) => '';
    const { ask, asked } = await start(t, (port) => (request, response) => {
      if (request.headers.host?.startsWith('www.')) response.end(text);
      else sends(target(port))(request, response);
    });
    target = (port) => `http://www.shop.test:${port}/there`;
    t.match(await ask('shop.test'), { proven: true });
    asked.length = 0;
    target = (port) => `http://www.private.test:${port}/`;
    t.match(await ask('private.test'), {
      proven: false,
      failure: /127\.0\.0\.2 port \d+ is an address where nothing may lead/,
    });
    target = (port) => `http://127.0.0.2:${port}/`;
    t.match(await ask('shop.test'), { proven: false, failure: /not followed/ });
    for (const elsewhere of [
      (port: number) => `http://www.other.test:${port}/`,
      (port: number) => `http://evil.shop.test:${port}/`,
      () => 'http://www.shop.test:1/',
      () => 'https://www.shop.test:8443/',
      () => 'ftp://www.shop.test/',
      (port: number) => `http://a:b@www.shop.test:${port}/`,
    ]) {
      target = elsewhere;
      t.match(await ask('shop.test'), { proven: false, failure: /not followed/ }, elsewhere(1));
    }
    t.notOk(
      asked.some((one) => !/^(shop|private)\.test\//.test(one)),
      'none of them was asked',
    );
    target = () => '/again';
    t.match(await ask('shop.test'), { proven: false, failure: 'leads on and on' });
    target = () => 'http://';
    t.match(await ask('shop.test'), { proven: false, failure: 'leads to an address that is none' });
  },
);

t.test(
  'no server on a private address is asked; and the TXT record is good as well, and for wildcards alone',
  async (t) => {
    const dns = await startDnsServer({
      zones: [{ name: 'shop.test', records: ['inside A 127.0.0.1', 'below A 10.0.0.1'] }],
    });
    t.teardown(() => dns.close());
    const { tenant } = await startTenants(t, testFolder(t), { dns, settings: { ownership: 'http' } });
    const alpha = await tenant('alpha');
    const inside = await alpha.post({ id: 'a', hosts: ['inside.shop.test'] });
    t.match(inside, {
      status: 202,
      body: {
        status: {
          state: 'waiting_for_ownership',
          reason: /cannot be asked: 127\.0\.0\.1 port 80 is an address where nothing may lead/,
          dnsRequirements: [
            { type: 'TXT', name: '_lockstep.inside.shop.test' },
            {
              type: 'HTTP',
              name: /^http:\/\/inside\.shop\.test\/\.well-known\/lockstep-ownership\/[0-9a-f]{16}$/,
            },
          ],
        },
      },
    });
    t.match(
      (await alpha.post({ hosts: ['below.shop.test'] })).body.status.reason,
      /10\.0\.0\.1 port 80 is an address/,
    );
    const wild = await alpha.post({ id: 'w', hosts: ['*.shop.test'] });
    t.match(
      wild.body.status.dnsRequirements.map(({ type }: { type: string }) => type),
      ['TXT'],
    );
    await dns.change(setRecord(proofOf(wild)));
    t.match(await alpha.again('w'), { status: 200 });
    t.match(await alpha.again('a'), { status: 200 });
  },
);

t.test(
  'a server proves a name that nobody has, and takes none that somebody has, or has the wildcard above',
  async (t) => {
    const { tenant, store } = await startTenants(t, testFolder(t), { settings: { ownership: 'off' } });
    const alpha = await tenant('alpha');
    await alpha.post({ hosts: ['www.shop.test', '*.wild.test'] });
    let seen: 'http' | 'txt' = 'http';
    const judge = createVerdicts({
      store,
      settings: () => ({ ownership: 'http' }),
      looks: {
        look: async () => ({ proven: seen, detail: 'seen', requirements: [] }),
        hasTxt: async () => 'gone',
      },
      now: Date.now,
    });
    const of = async (host: string) => {
      const verdict = await judge({ host, tenant: 'beta', policy: null });
      return verdict.may === 'take' ? { by: verdict.proven, losers: verdict.losers } : verdict.detail;
    };
    t.strictSame(await of('free.test'), { by: 'http', losers: [] });
    t.match(await of('www.shop.test'), /taken over by its TXT record alone/);
    t.match(await of('a.wild.test'), /taken over by its TXT record alone/);
    seen = 'txt';
    t.strictSame(await of('www.shop.test'), { by: 'txt', losers: ['alpha'] });
    t.strictSame(await of('a.wild.test'), { by: 'txt', losers: [] });
  },
);
