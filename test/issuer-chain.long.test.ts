import { X509Certificate } from 'node:crypto';
import type { Attempt, Route } from '@lockstep/contract';
import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';
import { freePort, type Pebble, startPebble, startUpstream, testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { servedCertificate } from './fleet/served-certificate.ts';
import { startFleet } from './fleet/start-fleet.ts';

const hourMs = 3_600_000;
const eab = { kid: 'kid-1', hmacKey: 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W' };
const httpPort = await freePort();
const upstream = await startUpstream();
t.teardown(() => upstream.close());
const [fleet, main, other, bound] = await Promise.all([
  startFleet(t, { dir: testFolder(t), edges: 1, httpPorts: [httpPort] }),
  startPebble({ httpPort, alternateRoots: 1 }),
  startPebble({ httpPort }),
  startPebble({ httpPort, eab }),
]);
for (const pebble of [main, other, bound]) t.teardown(() => pebble.close());
const [edge] = fleet.edges;
if (edge === undefined) throw new Error('no edge');
const served = (host: string) => servedCertificate(edge.https, host);

async function putIssuer(name: string, { directory, rootPem }: Pebble, rest: object = {}): Promise<void> {
  const { status, text } = await fleet.call('PUT', `/v1/issuers/${name}`, {
    directory,
    roots: rootPem,
    ...rest,
  });
  if (status >= 300) throw new Error(text);
}

/** PUTs a route of its own for a host, and waits for what comes of it. */
async function put(
  host: string,
  issuers: string[],
  rest: object = {},
): Promise<{ status: number; body: Route }> {
  const body = { hosts: [host], upstreams: [{ url: upstream.url }], issuers, ...rest };
  return fleet.call('PUT', `/v1/routes/${host}`, body, { prefer: 'wait=30' });
}

async function attemptsOf(host: string): Promise<Attempt[]> {
  return (await fleet.call('GET', `/v1/certificates/${host}/attempts`)).body.items;
}

const certificateOf = async (host: string) => (await fleet.call('GET', `/v1/certificates/${host}`)).body;
const lastErrorOf = ({ body }: { body: Route }) => body.status.certificates[0]?.lastError;

await putIssuer('main', main);
await putIssuer('other', other);

t.test('a CA that is down is passed over in the same attempt, and the attempts tell of it', async (t) => {
  const directory = `https://127.0.0.1:${await freePort()}/dir`;
  await putIssuer('down', { ...main, directory });
  const host = 'down.example.com';
  t.match(await put(host, ['down', 'main']), { status: 201, body: { status: { state: 'live' } } });
  t.equal((await fleet.get(edge, host, await main.issuingRoots())).status, 200);
  const attempts = await attemptsOf(host);
  t.match(attempts, [
    { number: 1, issuer: 'main', outcome: 'issued', challenge: 'http-01', problem: null },
    {
      number: 1,
      issuer: 'down',
      outcome: 'failed',
      step: 'idle',
      detail: /^the CA cannot be reached: .*ECONNREFUSED/,
      problem: { status: null, type: null, detail: String, subproblems: [] },
      next: 'The next issuer, "main", is tried at once.',
    },
  ]);
  t.equal(attempts.length, 2);
  t.match(await certificateOf(host), { issuer: 'main', lastError: null, nextAttemptAt: null });

  const alone = 'down-alone.example.com';
  t.match(await put(alone, ['down']), { status: 202, body: { status: { state: 'failed' } } });
  await putIssuer('down', main);
  t.match(
    await put(alone, ['down']),
    { status: 200 },
    'once the issuer is put right, its CA is asked at once',
  );
});

t.test('a CA that refuses is passed over in the same attempt, with its problem document', async (t) => {
  await putIssuer('refusing', bound);
  const host = 'refused.example.com';
  t.match(await put(host, ['refusing', 'main']), { status: 201, body: { status: { state: 'live' } } });
  t.match(await attemptsOf(host), [
    { number: 1, issuer: 'main', outcome: 'issued' },
    {
      number: 1,
      issuer: 'refusing',
      outcome: 'failed',
      detail: /set eab of the issuer/,
      problem: { status: 403, type: 'urn:ietf:params:acme:error:externalAccountRequired', detail: String },
      next: 'The next issuer, "main", is tried at once.',
    },
  ]);
});

t.test('an account is bound by EAB, and each way to get that wrong is told in a sentence', async (t) => {
  const wrong: [string, object, RegExp][] = [
    ['unbound', {}, /needs an external account binding: set eab of the issuer/],
    [
      'kid',
      { eab: { ...eab, kid: 'kid-9' } },
      /does not accept .* binding with kid "kid-9": .*not known.* \(see that eab\.kid and eab\.hmacKey/,
    ],
    [
      'key',
      { eab: { ...eab, hmacKey: 'd3Jvbmcta2V5LXdyb25nLWtleS13cm9uZy1rZXk' } },
      /does not accept .* binding with kid "kid-1": .* \(see that eab\.kid and eab\.hmacKey/,
    ],
  ];
  await Promise.all(
    wrong.map(async ([name, rest, detail]) => {
      await putIssuer(`eab-${name}`, bound, rest);
      const answer = await put(`eab-${name}.example.com`, [`eab-${name}`]);
      t.match(answer, { status: 202, body: { status: { state: 'failed' } } }, name);
      t.comment(lastErrorOf(answer)?.detail);
      t.match(lastErrorOf(answer)?.detail, detail, name);
      t.notMatch(JSON.stringify(answer), /d3Jvbmct/);
    }),
  );
  t.equal(bound.accountCount(), 0);
  await putIssuer('eab', bound, { eab });
  t.match(await put('eab.example.com', ['eab']), { status: 201, body: { status: { state: 'live' } } });
  t.equal((await fleet.get(edge, 'eab.example.com', await bound.issuingRoots())).status, 200);
  t.match((await fleet.call('GET', '/v1/issuers/eab')).body, {
    accountUrl: /^https:/,
    eab: { kid: 'kid-1' },
  });

  await putIssuer('eab-key', bound, { eab });
  t.match(
    await put('eab-key.example.com', ['eab-key']),
    { status: 200, body: { status: { state: 'live' } } },
    'once the issuer is put right, so is the route',
  );
});

t.test('a limit of an issuer dates the order that would break it, or sends it down the chain', async (t) => {
  const long = { count: 2, refillSeconds: 3_600 };
  await putIssuer('limited', other, { limits: { newOrders: long } });
  const [first, second] = await Promise.all(
    ['limit-1', 'limit-2'].map((name) => put(`${name}.example.com`, ['limited'])),
  );
  t.match([first, second], [{ status: 201 }, { status: 201 }]);
  const orders = other.orderCount();
  const third = await put('limit-3.example.com', ['limited']);
  t.match(third, { status: 202, body: { status: { state: 'failed' } } });
  t.match(lastErrorOf(third), {
    issuer: 'limited',
    type: 'urn:ietf:params:acme:error:rateLimited',
    detail: /^issuer limited: the limit of 2 orders of the account is used up; its next turn is at 2/,
  });
  const at = Date.parse(third.body.status.certificates[0]?.nextAttemptAt ?? '');
  t.ok(at > Date.now() + 0.9 * hourMs && at <= Date.now() + 1.1 * hourMs);
  const { body } = await fleet.call('GET', '/v1/issuers/limited/limits');
  t.match(body, {
    retryAt: null,
    items: [{ limit: 'newOrders', key: null, ...long, left: 0, nextAt: String }],
    next: null,
  });
  t.match(await put('limit-4.example.com', ['limited', 'main']), { status: 201 });
  t.match(await certificateOf('limit-4.example.com'), { issuer: 'main', lastError: null });
  t.match(await attemptsOf('limit-4.example.com'), [
    { number: 1, issuer: 'main', outcome: 'issued' },
    {
      number: 1,
      issuer: 'limited',
      outcome: 'failed',
      detail: /the limit of 2 orders of the account is used up/,
      problem: null,
      next: 'The next issuer, "main", is tried at once.',
    },
  ]);
  t.equal(other.orderCount(), orders, 'its CA was not asked');

  const short = { count: 1, refillSeconds: 3 };
  await putIssuer('briefly', other, { limits: { newOrders: short } });
  t.equal((await put('brief-1.example.com', ['briefly', 'main'])).status, 201);
  const waits = await put('brief-2.example.com', ['briefly', 'main']);
  t.match(waits, { status: 201, body: { status: { state: 'live' } } }, 'a moment is waited for');
  t.match(await certificateOf('brief-2.example.com'), { issuer: 'briefly', lastError: null });
});

t.test('chains, profiles and key types are those that the issuer is set to', async (t) => {
  const alternate = new X509Certificate(await main.issuingRoots(1)).subject.replace(/^CN=/, '');
  await putIssuer('alternate', main, { preferredChain: alternate });
  await putIssuer('short', main, { profile: 'shortlived' });
  await putIssuer('unheard-of', main, { profile: 'eternal' });
  const keys = [
    ['ecdsa-p256', { namedCurve: 'prime256v1' }],
    ['ecdsa-p384', { namedCurve: 'secp384r1' }],
    ['rsa-2048', { modulusLength: 2_048 }],
  ] as const;
  await Promise.all([
    ...keys.map(async ([keyType, details]) => {
      await putIssuer(keyType, main, { keyType });
      const host = `${keyType}.example.com`;
      t.equal((await put(host, [keyType])).status, 201, keyType);
      t.match((await served(host)).publicKey.asymmetricKeyDetails, details, keyType);
    }),
    (async () => {
      t.equal((await put('alternate.example.com', ['alternate'])).status, 201);
      const { chain } = await certificateOf('alternate.example.com');
      const last = new X509Certificate(chain.slice(chain.lastIndexOf('-----BEGIN')));
      t.equal(last.issuer, `CN=${alternate}`);
      const roots = await main.issuingRoots(1);
      t.equal((await fleet.get(edge, 'alternate.example.com', roots)).status, 200);
    })(),
    (async () => {
      t.equal((await put('short.example.com', ['short'])).status, 201);
      const { validFrom, validTo } = await served('short.example.com');
      t.equal(Math.round((Date.parse(validTo) - Date.parse(validFrom)) / hourMs), 160);
    })(),
    (async () => {
      const answer = await put('eternal.example.com', ['unheard-of']);
      t.match(answer, { status: 202, body: { status: { state: 'failed' } } });
      t.comment(lastErrorOf(answer)?.detail);
      t.match(lastErrorOf(answer), { type: /invalidProfile/, detail: /profile.*eternal/ });
    })(),
  ]);
});

t.test('a revoked certificate is replaced at once, on every edge', async (t) => {
  const host = 'revoked.example.com';
  t.equal((await put(host, ['main', 'other'])).status, 201);
  const { serialNumber } = await served(host);
  const { status } = await fleet.call('POST', `/v1/certificates/${host}/revoke`, { reason: 'keyCompromise' });
  t.equal(status, 202);
  t.strictSame(await main.revocationStatus(serialNumber), { status: 'Revoked', reason: 1 });
  const next = await waitFor(
    async () => {
      const certificate = await served(host);
      return certificate.serialNumber !== serialNumber && certificate;
    },
    { what: 'another certificate' },
  );
  t.match(await main.revocationStatus(next.serialNumber), { status: 'Valid' });
  t.match(await certificateOf(host), { issuer: 'main', revokedAt: null, state: 'live' });
});

t.test('a brought certificate is served before the managed one, which is back when it goes', async (t) => {
  const host = 'brought.example.com';
  t.equal((await put(host, ['main'])).status, 201);
  const managed = (await served(host)).serialNumber;
  const authority = await createAuthority();
  const key = await generateKeyPem();
  const chain = await issueCertificate({
    authority,
    host,
    keyPem: key,
    lifetimeMs: 24 * hourMs,
    now: Date.now(),
  });
  const serves = (serialNumber: string) =>
    waitFor(async () => (await served(host)).serialNumber === serialNumber, { what: serialNumber });
  const made = await fleet.call('POST', '/v1/certificates', { chain, key });
  t.equal(made.status, 201);
  await serves(new X509Certificate(chain).serialNumber);
  t.equal((await fleet.get(edge, host, authority.certificate)).status, 200);
  t.equal((await fleet.call('DELETE', `/v1/certificates/${made.body.id}`)).status, 204);
  await serves(managed);
  t.equal((await fleet.get(edge, host, await main.issuingRoots())).status, 200);
});
