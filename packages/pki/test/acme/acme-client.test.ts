import { X509Certificate } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { freePort, startPebble, startUpstream } from '@lockstep/testkit';
import t from 'tap';
import {
  AcmeProblem,
  checkChain,
  createAcmeClient,
  createAuthority,
  generateKeyPem,
  splitChain,
} from '../../src/index.ts';
import { createClient, finalise, userAgent, validate } from './acme-session.ts';

const answers = new Map<string, string>();

const solver = await startUpstream((request, response) => {
  const token = request.url?.split('/').at(-1) ?? '';
  response.statusCode = answers.has(token) ? 200 : 404;
  response.end(answers.get(token));
});
t.teardown(() => solver.close());

t.test('against Pebble', async (t) => {
  const pebble = await startPebble({ httpPort: solver.port });
  t.teardown(() => pebble.close());
  const client = await createClient(pebble);
  t.teardown(() => client.close());
  const { accountUrl } = await client.createAccount({ email: 'ops@example.com' });

  t.test('an order by HTTP-01 ends in a chain that leads to the CA’s root', async (t) => {
    const host = 'shop.example.com';
    const before = pebble.orderCount();
    const order = await client.newOrder({ host });
    t.match(order, { status: 'pending', certificateUrl: null, error: null });
    for (const url of order.authorizations) {
      const authorization = await client.getAuthorization(url);
      t.match(authorization, { status: 'pending', host });
      for (const { token } of authorization.challenges)
        answers.set(token, await client.keyAuthorization(token));
    }
    t.equal((await validate(client, order)).status, 'ready');
    const keyPem = await generateKeyPem();
    const chain = await client.getCertificate(await finalise(client, order, { host, keyPem }));
    t.same(checkChain({ chain, keyPem, host, now: Date.now() }).subjectAltNames, [host]);
    const root = new X509Certificate(await pebble.issuingRoots());
    t.ok(new X509Certificate(splitChain(chain).at(-1) ?? '').verify(root.publicKey));
    t.equal(pebble.orderCount() - before, 1);
  });

  t.test('the account is found again by its key, and used by its URL', async (t) => {
    const accountKeyPem = await generateKeyPem();
    const first = await createClient(pebble, { accountKeyPem });
    t.teardown(() => first.close());
    const made = await first.createAccount({});
    t.not(made.accountUrl, accountUrl);
    t.same(await first.createAccount({}), made);
    const second = await createClient(pebble, { accountKeyPem, accountUrl: made.accountUrl });
    t.teardown(() => second.close());
    t.equal((await second.newOrder({ host: 'again.example.com' })).status, 'pending');
  });

  t.test('a challenge that nobody answers makes the order invalid, and says why', async (t) => {
    const order = await validate(client, await client.newOrder({ host: 'nobody.example.com' }));
    t.equal(order.status, 'invalid');
    const authorization = await client.getAuthorization(order.authorizations[0] ?? '');
    const challenge = authorization.challenges.find(({ type }) => type === 'http-01');
    t.match(challenge?.error, { type: 'urn:ietf:params:acme:error:unauthorized', detail: /404/ });
  });

  t.test('profile and replaces reach the CA', async (t) => {
    const ordering = (options: { profile?: string; replaces?: string }) =>
      client.newOrder({ host: 'profile.example.com', ...options });
    t.equal((await ordering({ profile: 'shortlived' })).status, 'pending');
    await t.rejects(ordering({ profile: 'unheard-of' }), {
      name: 'AcmeProblem',
      type: 'urn:ietf:params:acme:error:invalidProfile',
    });
    await t.rejects(ordering({ replaces: 'bm90.b25l' }), { name: 'AcmeProblem' });
  });

  t.test('a refused order throws the CA’s problem', async (t) => {
    const error = await client.newOrder({ host: 'not a host' }).catch((error) => error);
    t.ok(error instanceof AcmeProblem);
    t.match(error, { status: 400, type: /^urn:ietf:params:acme:error:/, detail: /illegal/ });
  });

  t.test('a CA whose root is not given is not trusted', async (t) => {
    const stranger = await createClient(pebble, { rootsPem: null });
    t.teardown(() => stranger.close());
    await t.rejects(stranger.createAccount({}), { name: 'AcmeProblem', status: null, detail: /certificate/ });
  });
});

t.test('a directory that cannot be reached is a problem without a status', async (t) => {
  const directory = `https://127.0.0.1:${await freePort()}/dir`;
  const client = createAcmeClient({ directory, accountKeyPem: await generateKeyPem(), userAgent });
  t.teardown(() => client.close());
  await t.rejects(client.createAccount({}), {
    name: 'AcmeProblem',
    status: null,
    type: null,
    detail: /ECONNREFUSED/,
  });
});

t.test('a CA that accepts the connection and says nothing is given up after the time-out', async (t) => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.teardown(() => {
    silent.closeAllConnections();
    silent.close();
  });
  const directory = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/dir`;
  const client = createAcmeClient({
    directory,
    accountKeyPem: await generateKeyPem(),
    userAgent,
    timeoutMs: 50,
  });
  t.teardown(() => client.close());
  await t.rejects(client.createAccount({}), {
    name: 'AcmeProblem',
    status: null,
    detail: /no answer within 50 ms/,
  });
});

t.test('a silent CA holds up no call whose signal is aborted, whichever it is', async (t) => {
  const silences = new EventEmitter();
  let knowsDirectory = false;
  const ca = await startUpstream((request, response) => {
    response.setHeader('replay-nonce', 'nonce');
    if (request.url === '/dir' && knowsDirectory) {
      const names = ['newNonce', 'newAccount', 'newOrder', 'revokeCert', 'renewalInfo'];
      response.end(JSON.stringify(Object.fromEntries(names.map((name) => [name, `${ca.url}/${name}`]))));
    } else if (request.url === '/newNonce') response.end();
    else silences.emit('silence', request.url);
  });
  t.teardown(() => ca.close());
  const [accountKeyPem, authority] = await Promise.all([generateKeyPem(), createAuthority()]);
  const url = `${ca.url}/x`;
  const client = createAcmeClient({ directory: `${ca.url}/dir`, accountKeyPem, accountUrl: url, userAgent });
  t.teardown(() => client.close());
  const chain = authority.certificate;
  const calls: [string, (signal: AbortSignal) => Promise<unknown>][] = [
    ['/dir', (signal) => client.directory(signal)],
    ['/newAccount', (signal) => client.createAccount({}, signal)],
    ['/newOrder', (signal) => client.newOrder({ host: 'a.example.com' }, signal)],
    ['/x', (signal) => client.getOrder(url, signal)],
    ['/x', (signal) => client.getAuthorization(url, signal)],
    ['/x', (signal) => client.completeChallenge(url, signal)],
    ['/x', (signal) => client.finalize(url, Buffer.alloc(1), signal)],
    ['/x', (signal) => client.getCertificate(url, {}, signal)],
    ['/revokeCert', (signal) => client.revokeCertificate({ chain, reason: 0 }, signal)],
    ['/renewalInfo/a.b', (signal) => client.getRenewalInfo('a.b', signal)],
  ];
  const reason = new Error('stopping');
  for (const [path, call] of calls) {
    const stop = new AbortController();
    const asked = once(silences, 'silence');
    const calling = t.rejects(call(stop.signal), reason, path);
    t.same(await asked, [path]);
    stop.abort(reason);
    await calling;
    await t.rejects(call(stop.signal), reason, `${path}, aborted before`);
    knowsDirectory = true;
  }
});

t.test('a page that is no directory is a problem', async (t) => {
  const page = await startUpstream((_request, response) => response.end('<html>'));
  t.teardown(() => page.close());
  const directory = `${page.url}/dir`;
  const client = createAcmeClient({ directory, accountKeyPem: await generateKeyPem(), userAgent });
  t.teardown(() => client.close());
  await t.rejects(client.createAccount({}), { name: 'AcmeProblem', detail: /no ACME directory/ });
});

interface Answer {
  status: number;
  headers?: Record<string, string>;
  body: unknown;
}

t.test('what a CA answers is told by status, type and Retry-After', async (t) => {
  const answers: Answer[] = [];
  const requests: string[] = [];
  const ca = await startUpstream((request, response) => {
    requests.push(`${request.method} ${request.url} ${request.headers['user-agent']}`);
    response.setHeader('replay-nonce', `nonce-${requests.length}`);
    if (request.url === '/dir') {
      response.end(JSON.stringify({ newNonce: `${ca.url}/nonce`, newOrder: `${ca.url}/order` }));
    } else if (request.url === '/nonce') {
      response.end();
    } else {
      const { status, headers, body } = answers.shift() ?? { status: 500, body: 'no answer left' };
      response.writeHead(status, headers);
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    }
  });
  t.teardown(() => ca.close());
  const client = createAcmeClient({
    directory: `${ca.url}/dir`,
    accountKeyPem: await generateKeyPem(),
    accountUrl: `${ca.url}/account/1`,
    userAgent,
  });
  t.teardown(() => client.close());
  const asked = (...given: Answer[]) => {
    answers.push(...given);
    return client.getOrder(`${ca.url}/order/1`).catch((error) => error);
  };

  const type = 'urn:ietf:params:acme:error:rateLimited';
  const limited = await asked({
    status: 429,
    headers: { 'retry-after': '120' },
    body: { type, detail: 'too many' },
  });
  t.match(limited, { name: 'AcmeProblem', status: 429, type, detail: 'too many', retryAfterMs: 120_000 });
  t.match(await asked({ status: 503, body: '<html>' }), {
    name: 'AcmeProblem',
    status: 503,
    type: null,
    retryAfterMs: null,
  });
  for (const beyond of ['99999999999999999999', 'Fri, 31 Dec 9999 23:59:59 GMT']) {
    const { retryAfterMs } = await asked({ status: 503, headers: { 'retry-after': beyond }, body: '' });
    t.equal(retryAfterMs, 7 * 86_400_000, `${beyond} is no date that can be kept`);
  }
  const words = 'x'.repeat(500_000);
  const many = Array(1_000).fill({ type, detail: words.slice(0, 500) });
  const wordy = await asked({ status: 403, body: { type, detail: words, subproblems: many } });
  t.ok(JSON.stringify(wordy.document).length < 20_000, 'a CA’s words do not fill a record');
  const date = new Date(Date.now() + 3_600_000).toUTCString();
  const later = await asked({ status: 503, headers: { 'retry-after': date }, body: '' });
  t.ok(later.retryAfterMs > 3_500_000 && later.retryAfterMs <= 3_600_000, 'a date counts from now');
  for (const absurd of ['99999999999999999999', 'Fri, 31 Dec 9999 23:59:59 GMT']) {
    const bounded = await asked({ status: 503, headers: { 'retry-after': absurd }, body: '' });
    t.equal(bounded.retryAfterMs, 7 * 86_400_000, 'no date that nobody lives to see');
  }
  const subproblems = [{ type, detail: 'why', identifier: { type: 'dns', value: 'a.example.com' } }];
  t.same((await asked({ status: 403, body: { type, detail: '', subproblems } })).subproblems, [
    { type, detail: 'why', identifier: 'a.example.com' },
  ]);
  t.match(await asked({ status: 200, body: '<html>' }), { name: 'AcmeProblem', detail: /no order/ });
  requests.length = 0;
  const order = { status: 'processing', authorizations: [], finalize: `${ca.url}/finalize` };
  for (let poll = 0; poll < 2; poll++) {
    t.same(await asked({ status: 200, headers: { 'retry-after': '7' }, body: order }), {
      url: `${ca.url}/order/1`,
      status: 'processing',
      authorizations: [],
      finalizeUrl: `${ca.url}/finalize`,
      certificateUrl: null,
      expires: null,
      error: null,
      retryAfterMs: 7_000,
    });
  }
  t.same(
    requests,
    ['POST /order/1', 'POST /order/1'].map((line) => `${line} ${userAgent}`),
    'a nonce of an earlier answer served each',
  );

  const refused = { status: 400, body: { type: 'urn:ietf:params:acme:error:badNonce', detail: 'used' } };
  t.match(await asked(refused, refused, { status: 200, body: order }), { status: 'processing' });
  t.match(await asked(...Array(6).fill(refused)), { name: 'AcmeProblem', status: 400, type: /badNonce/ });
});

t.test('a refused nonce takes the older ones with it', async (t) => {
  let given = 0;
  let refuse = false;
  const used: string[] = [];
  const ca = await startUpstream(async (request, response) => {
    response.setHeader('replay-nonce', `nonce-${++given}`);
    if (request.url === '/dir') return response.end(JSON.stringify({ newNonce: `${ca.url}/nonce` }));
    if (request.method === 'HEAD') return response.end();
    const body = JSON.parse(Buffer.concat(await request.toArray()).toString());
    used.push(JSON.parse(Buffer.from(body.protected, 'base64url').toString()).nonce);
    if (!refuse) return response.end(JSON.stringify({ status: 'pending', finalize: 'x' }));
    refuse = false;
    const problem = { type: 'urn:ietf:params:acme:error:badNonce' };
    return response.writeHead(400).end(JSON.stringify(problem));
  });
  t.teardown(() => ca.close());
  const directory = `${ca.url}/dir`;
  const accountKeyPem = await generateKeyPem();
  const client = createAcmeClient({ directory, accountKeyPem, accountUrl: `${ca.url}/account`, userAgent });
  t.teardown(() => client.close());
  const asking = (calls: number) =>
    Promise.all(Array.from({ length: calls }, () => client.getOrder(`${ca.url}/order`)));
  await asking(4);
  refuse = true;
  const before = given;
  await asking(1);
  t.equal(used.length, 6, 'one was refused');
  await asking(4);
  const later = used.slice(5).map((nonce) => Number(nonce.replace('nonce-', '')));
  t.ok(
    later.every((number) => number > before),
    'no nonce from before the refusal is used again',
  );
  t.equal(new Set(used).size, used.length, 'each is used once');
});
