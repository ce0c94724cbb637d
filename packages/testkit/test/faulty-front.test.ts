import { X509Certificate } from 'node:crypto';
import { type AcmeClient, AcmeProblem, createAcmeClient, createCsr, generateKeyPem } from '@lockstep/pki';
import t, { type Test } from 'tap';
import {
  rateLimited,
  refused,
  startFaultyFront,
  startPebble,
  startUpstream,
  unavailable,
  waitFor,
} from '../src/index.ts';

const answers = new Map<string, string>();
const solver = await startUpstream(({ url = '' }, response) => {
  response.end(answers.get(url.split('/').at(-1) ?? ''));
});
t.teardown(() => solver.close());
const pebble = await startPebble({ httpPort: solver.port });
t.teardown(() => pebble.close());

async function start(t: Test, { timeoutMs = 10_000 } = {}) {
  const front = await startFaultyFront({ pebble });
  t.teardown(() => front.close());
  const client = createAcmeClient({
    directory: front.directory,
    accountKeyPem: await generateKeyPem(),
    rootsPem: front.rootPem,
    userAgent: 'lockstep/test',
    timeoutMs,
  });
  t.teardown(() => client.close());
  await client.createAccount({});
  return { front, client };
}

/** Validates an order and finalises it; gives back its address. */
async function finalise(client: AcmeClient, host: string): Promise<string> {
  const order = await client.newOrder({ host });
  const [authorization] = order.authorizations;
  const { status, challenges } = await client.getAuthorization(authorization!);
  const challenge = challenges.find(({ type }) => type === 'http-01')!;
  answers.set(challenge.token, await client.keyAuthorization(challenge.token));
  if (status !== 'valid') await client.completeChallenge(challenge.url);
  await waitFor(async () => (await client.getOrder(order.url)).status === 'ready', { what: 'the order' });
  await client.finalize(order.finalizeUrl, await createCsr({ keyPem: await generateKeyPem(), host }));
  return order.url;
}

const certificateUrl = (client: AcmeClient, orderUrl: string) =>
  waitFor(async () => (await client.getOrder(orderUrl)).certificateUrl, { what: 'the certificate' });

t.test('an order goes all the way through the front, and every request is counted', async (t) => {
  const { front, client } = await start(t);
  const orderUrl = await finalise(client, 'whole.example.com');
  const url = await certificateUrl(client, orderUrl);
  const { origin } = new URL(front.directory);
  for (const address of [orderUrl, url]) t.ok(address.startsWith(origin), `${address} leads to the front`);
  const chain = await client.getCertificate(url);
  t.match(new X509Certificate(chain).subjectAltName, 'DNS:whole.example.com');
  t.match(front.counts, { directory: 1, other: 0 });
  // Once or more: Pebble refuses some nonces on purpose.
  for (const kind of ['newAccount', 'newOrder', 'authz', 'challenge', 'order', 'finalize', 'cert'] as const)
    t.ok(front.counts[kind] >= 1, kind);
});

t.test('a CA that refuses does so in its own words, as often as it was told', async (t) => {
  const { front, client } = await start(t);
  const before = pebble.orderCount();
  front.faults.add('newOrder', rateLimited(120), 1);
  front.faults.add('newOrder', unavailable('Tue, 24 Nov 2076 00:00:00 GMT'), 1);
  const remove = front.faults.add('newOrder', refused('rejectedIdentifier'));
  const order = () => client.newOrder({ host: 'shop.example.com' });
  await t.rejects(order(), {
    name: 'AcmeProblem',
    status: 429,
    type: 'urn:ietf:params:acme:error:rateLimited',
    retryAfterMs: 120_000,
  });
  const busy = await order().catch((error) => error);
  t.ok(busy instanceof AcmeProblem && busy.status === 503 && busy.type === null);
  t.ok(busy.retryAfterMs > 86_400_000);
  for (let index = 0; index < 3; index += 1)
    await t.rejects(order(), {
      name: 'AcmeProblem',
      status: 403,
      type: 'urn:ietf:params:acme:error:rejectedIdentifier',
    });
  t.equal(pebble.orderCount(), before, 'the CA heard of none');
  remove();
  await order();
});

t.test('a connection breaks before the CA hears, or after it did what it was asked', async (t) => {
  const { front, client } = await start(t);
  const order = () => client.newOrder({ host: 'shop.example.com' });
  const before = pebble.orderCount();
  front.faults.add('newOrder', { fault: 'drop', when: 'before' }, 1);
  await t.rejects(order(), { name: 'AcmeProblem', status: null });
  t.equal(pebble.orderCount(), before);
  front.faults.add('newOrder', { fault: 'drop', when: 'after' }, 1);
  await t.rejects(order(), { name: 'AcmeProblem', status: null });
  await waitFor(() => pebble.orderCount() > before, { what: 'an order that the client does not know of' });
});

t.test('a CA that does not answer leaves the client to its time-out', async (t) => {
  const { front, client } = await start(t, { timeoutMs: 2_000 });
  front.faults.add('newOrder', { fault: 'hang', when: 'before' }, 1);
  await t.rejects(client.newOrder({ host: 'shop.example.com' }), {
    name: 'AcmeProblem',
    status: null,
    detail: /within 2000 ms/,
  });
  front.faults.add('newOrder', { fault: 'delay', ms: 100 });
  const began = performance.now();
  await client.newOrder({ host: 'shop.example.com' });
  t.ok(performance.now() - began >= 95);
});

t.test('an order can be said to be processing longer than it is', async (t) => {
  const { front, client } = await start(t);
  const issued = () => pebble.log.filter((line) => line.includes('Issued certificate')).length;
  const before = issued();
  front.faults.add('finalize', { fault: 'processing' });
  const orderUrl = await finalise(client, 'slow.example.com');
  const remove = front.faults.add('order', { fault: 'processing', retryAfter: 7 });
  await waitFor(() => issued() > before, { what: 'Pebble to issue' });
  for (let index = 0; index < 3; index += 1) {
    const order = await client.getOrder(orderUrl);
    t.match(order, { status: 'processing', certificateUrl: null, retryAfterMs: 7_000 });
  }
  remove();
  t.ok(await certificateUrl(client, orderUrl));
});

t.test('the certificate that comes can be another host’s', async (t) => {
  const { front, client } = await start(t);
  const url = await certificateUrl(client, await finalise(client, 'swapped.example.com'));
  front.faults.add('cert', { fault: 'wrongCertificate' }, 1);
  const wrong = new X509Certificate(await client.getCertificate(url));
  t.match(wrong.subjectAltName, 'DNS:another-host.example.com');
  const right = new X509Certificate(await client.getCertificate(url));
  t.match(right.subjectAltName, 'DNS:swapped.example.com');
});

t.test('a function decides by what was asked, until it is taken back', async (t) => {
  const { front, client } = await start(t);
  front.faults.decide(({ kind, payload }) =>
    kind === 'newOrder' && JSON.stringify(payload).includes('bad.example.com')
      ? refused('rejectedIdentifier')
      : null,
  );
  await t.rejects(client.newOrder({ host: 'bad.example.com' }), { name: 'AcmeProblem', status: 403 });
  await client.newOrder({ host: 'good.example.com' });
  front.faults.clear();
  await client.newOrder({ host: 'bad.example.com' });
});
