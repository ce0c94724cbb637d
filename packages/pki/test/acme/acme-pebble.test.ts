import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createSecureContext, createServer } from 'node:tls';
import { startPebble, waitFor } from '@lockstep/testkit';
import t from 'tap';
import {
  type AcmeClient,
  AcmeProblem,
  ariCertId,
  checkChain,
  createAlpnCertificate,
  dnsChallengeValue,
  generateKeyPem,
  ocspUrlOf,
  splitChain,
} from '../../src/index.ts';
import { answerTo, createClient, finalise, validate } from './acme-session.ts';

const dayMs = 86_400_000;
const acmeError = (name: string) => `urn:ietf:params:acme:error:${name}`;

/** An edge's listener, as far as tls-alpn-01 goes. */
const contexts = new Map<string, ReturnType<typeof createSecureContext>>();
const protocols: (string | false | null)[] = [];
const edge = createServer({
  ALPNProtocols: ['acme-tls/1'],
  SNICallback: (name, done) => done(null, contexts.get(name)),
}).on('secureConnection', (socket) => {
  protocols.push(socket.alpnProtocol);
  socket.on('error', () => {}).end();
});
edge.listen(0, '127.0.0.1');
await once(edge, 'listening');
t.teardown(() => edge.close());

const pebble = await startPebble({
  httpPort: 1,
  tlsPort: (edge.address() as AddressInfo).port,
  alternateRoots: 2,
  caaIdentities: ['ca.example'],
  ocspResponderUrl: 'http://127.0.0.1:1/ocsp',
  profiles: {
    default: { description: 'ninety days', validityPeriod: 90 * 86_400 },
    brief: { description: 'three days', validityPeriod: 3 * 86_400 },
  },
  env: { PEBBLE_AUTHZREUSE: '0' },
});
t.teardown(() => pebble.close());
const client = await createClient(pebble);
t.teardown(() => client.close());
const { accountUrl } = await client.createAccount({});

/** A certificate by dns-01. */
async function obtain(host: string, options: { profile?: string; replaces?: string } = {}) {
  const order = await client.newOrder({ host, ...options });
  const { keyAuthorization } = await answerTo(client, order, 'dns-01');
  await pebble.dns.setTxt(`_acme-challenge.${host}`, dnsChallengeValue(keyAuthorization));
  const { status } = await validate(client, order, 'dns-01');
  if (status !== 'ready') throw new Error(`the order is ${status}`);
  const keyPem = await generateKeyPem();
  const url = await finalise(client, order, { host, keyPem });
  return { url, keyPem, chain: await client.getCertificate(url) };
}

const needsAri = 'needs a Pebble with ARI and profiles, as Debian unstable has it';
const host = 'shop.example.com';
const { url, chain, keyPem } = await obtain(host);

t.test('the directory tells identities, profiles, terms and where renewal information is', async (t) => {
  if (!pebble.offersRenewalInfo) return void t.pass('', { skip: needsAri });
  t.match(await client.directory(), {
    caaIdentities: ['ca.example'],
    profiles: { default: 'ninety days', brief: 'three days' },
    externalAccountRequired: false,
    renewalInfo: /^https:\/\/localhost:\d+\//,
    termsOfService: /^\w+:/,
  });
});

t.test('an order by DNS-01 ends in a chain, a wildcard’s too', async (t) => {
  t.ok(checkChain({ chain, keyPem, host, now: Date.now() }));
  t.equal(ocspUrlOf(chain), 'http://127.0.0.1:1/ocsp', 'which says where its OCSP responder is');
  const order = await client.newOrder({ host: '*.wild.example.com' });
  const { keyAuthorization } = await answerTo(client, order, 'dns-01');
  await pebble.dns.setTxt('_acme-challenge.wild.example.com', dnsChallengeValue(keyAuthorization));
  t.equal((await validate(client, order, 'dns-01')).status, 'ready');
});

t.test('the chain is the one whose last issuer has the preferred name, else the default', async (t) => {
  const roots = await Promise.all([0, 1, 2].map((index) => pebble.issuingRoots(index)));
  const names = roots.map((pem) => new X509Certificate(pem).subject.replace('CN=', ''));
  t.equal(new Set(names).size, 3);
  const issuerOf = (pem: string) => new X509Certificate(splitChain(pem).at(-1)!).issuer;
  for (const preferredChain of names)
    t.equal(issuerOf(await client.getCertificate(url, { preferredChain })), `CN=${preferredChain}`);
  t.equal(await client.getCertificate(url, { preferredChain: 'No such CA' }), chain);
  t.equal(await client.getCertificate(url, { preferredChain: null }), chain);
});

t.test('the CA gives renewal information by the id made of the certificate', async (t) => {
  if (!pebble.offersRenewalInfo) return void t.pass('', { skip: needsAri });
  const before = await client.getRenewalInfo(ariCertId(chain));
  const now = Date.now();
  t.ok(before && now < before.start && before.start < before.end && before.end < now + 90 * dayMs);
  const window = { start: '2026-01-02T03:04:05Z', end: '2026-01-03T03:04:05Z' };
  const explanationURL = 'https://ca.example/why';
  await pebble.setRenewalInfo(new X509Certificate(chain).serialNumber, {
    suggestedWindow: window,
    explanationURL,
  });
  const after = await client.getRenewalInfo(ariCertId(chain));
  t.match(after, {
    start: Date.parse(window.start),
    end: Date.parse(window.end),
    explanationUrl: explanationURL,
  });
  t.ok(after?.retryAfterMs && after.retryAfterMs > 0, 'when to ask again');
  await pebble.setRenewalInfo(chain, { suggestedWindow: { start: window.end, end: window.start } });
  await t.rejects(client.getRenewalInfo(ariCertId(chain)), { name: 'AcmeProblem', detail: /ends before/ });
  await t.rejects(client.getRenewalInfo('bm90.b25l'), { name: 'AcmeProblem', status: 400 });
});

t.test('a certificate is replaced once: a second order that says so is refused as such', async (t) => {
  const old = await obtain('twice.example.com');
  const replaces = ariCertId(old.chain);
  await obtain('twice.example.com', { replaces });
  await t.rejects(client.newOrder({ host: 'twice.example.com', replaces }), {
    name: 'AcmeProblem',
    status: 409,
    type: acmeError('alreadyReplaced'),
  });
});

t.test('a profile decides how long a certificate lasts', async (t) => {
  const { chain } = await obtain('brief.example.com', { profile: 'brief' });
  const { validFromDate, validToDate } = new X509Certificate(chain);
  t.equal(Math.round((validToDate.getTime() - validFromDate.getTime()) / dayMs), 3);
});

t.test('a revoked certificate is revoked at the CA; doing it again is no error', async (t) => {
  const { chain } = await obtain('revoked.example.com');
  const { serialNumber } = new X509Certificate(chain);
  t.same(await pebble.revocationStatus(serialNumber), { status: 'Valid', reason: null });
  await client.revokeCertificate({ chain, reason: 4 });
  t.same(await pebble.revocationStatus(serialNumber), { status: 'Revoked', reason: 4 });
  await client.revokeCertificate({ chain, reason: 4 });
  const stranger = await createClient(pebble);
  t.teardown(() => stranger.close());
  await stranger.createAccount({});
  const { chain: other, keyPem } = await obtain('other.example.com');
  await t.rejects(stranger.revokeCertificate({ chain: other, reason: 0 }), {
    name: 'AcmeProblem',
    type: acmeError('unauthorized'),
  });
  t.same(await pebble.revocationStatus('00ff'), null);
  await t.rejects(stranger.revokeCertificate({ chain: other, reason: 1, keyPem: await generateKeyPem() }), {
    name: 'AcmeProblem',
  });
  await stranger.revokeCertificate({ chain: other, reason: 1, keyPem });
  t.same(await pebble.revocationStatus(new X509Certificate(other).serialNumber), {
    status: 'Revoked',
    reason: 1,
  });
});

t.test('the CA validates through the TLS-ALPN-01 certificate, and no other', async (t) => {
  const attempt = async (host: string, keyAuthorizationOf: (answer: string) => string) => {
    const order = await client.newOrder({ host });
    const { keyAuthorization } = await answerTo(client, order, 'tls-alpn-01');
    const { certificate, keyPem } = await createAlpnCertificate({
      host,
      keyAuthorization: keyAuthorizationOf(keyAuthorization),
    });
    contexts.set(host, createSecureContext({ cert: certificate, key: keyPem }));
    return (await validate(client, order, 'tls-alpn-01')).status;
  };
  t.equal(await attempt('alpn.example.com', (answer) => answer), 'ready');
  t.equal(protocols.at(-1), 'acme-tls/1');
  t.equal(await attempt('wrong.example.com', (answer) => `${answer}x`), 'invalid');
});

t.test('an account that the CA does not know is told by type', async (t) => {
  const lost = await createClient(pebble, { accountUrl: accountUrl.replace(/[^/]+$/, 'ffffffffffffffff') });
  t.teardown(() => lost.close());
  const error = await lost.newOrder({ host }).catch((error) => error);
  t.ok(error instanceof AcmeProblem);
  t.equal(error.type, acmeError('accountDoesNotExist'));
  t.same(error.document, { status: error.status, type: error.type, detail: error.detail, subproblems: [] });
});

t.test(
  'the external account binding is signed as the CA wants it; a wrong one is told from a missing one',
  async (t) => {
    const hmacKey = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';
    const eab = { kid: 'kid-1', hmacKey };
    const bound = await startPebble({ httpPort: 1, eab });
    t.teardown(() => bound.close());
    const account = async (eab: { kid: string; hmacKey: string } | null) => {
      const client: AcmeClient = await createClient(bound, { eab });
      t.teardown(() => client.close());
      t.equal((await client.directory()).externalAccountRequired, true);
      return client.createAccount({}).catch((error) => error);
    };
    t.match(await account(eab), { accountUrl: /^https:/ });
    await waitFor(() => bound.accountCount() === 1, { what: 'the account in the log' });
    t.match(await account(null), { name: 'AcmeProblem', type: acmeError('externalAccountRequired') });
    const wrong = [
      await account({ ...eab, hmacKey: hmacKey.replace('z', 'y') }),
      await account({ ...eab, kid: 'kid-2' }),
    ];
    for (const error of wrong) {
      t.match(error, { name: 'AcmeProblem', status: /40[0-3]/, type: /acme:error:/ });
      t.not(error.type, acmeError('externalAccountRequired'));
      t.comment(`${error.status} ${error.type} ${error.detail}`);
      t.notMatch(JSON.stringify(error), hmacKey);
    }
    t.equal(bound.accountCount(), 1);
  },
);
