import { PassThrough } from 'node:stream';
import { freePort, startPebble, startUpstream, testFolder } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { makeCertificate } from './brought-certificate.ts';
import { adminToken, startControlPlane } from './start-control-plane.ts';

const hmacKey = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';
const hookSecret = 'the-secret-of-the-hook';
const wait = { prefer: 'wait=20' };

t.test('whatever fails, no secret is in the log at its finest, nor in an answer', async (t) => {
  const stream = new PassThrough();
  const lines: string[] = [];
  stream.on('data', (line) => lines.push(String(line)));
  const log = pino({ level: 'trace' }, stream);
  const { call, store, acknowledge } = await startControlPlane(t, testFolder(t), {}, { log });
  acknowledge('edge-1');
  const pebble = await startPebble({ httpPort: await freePort(), eab: { kid: 'kid-1', hmacKey } });
  t.teardown(() => pebble.close());
  // It says back what it was told, as careless ones do.
  const hook = await startUpstream(({ headers }, response) =>
    response.writeHead(500).end(JSON.stringify(headers)),
  );
  t.teardown(() => hook.close());
  const answers: string[] = [];
  const say = async (...request: Parameters<typeof call>) => {
    const answer = await call(...request);
    answers.push(JSON.stringify(answer.body));
    return answer;
  };

  const issuer = (kid: string) => ({
    directory: pebble.directory,
    roots: pebble.rootPem,
    eab: { kid, hmacKey },
    dnsProvider: { type: 'webhook', url: hook.url, secret: hookSecret },
  });
  await say('PUT', '/v1/issuers/unbound', { body: issuer('kid-9') });
  await say('PUT', '/v1/issuers/hooked', { body: issuer('kid-1') });
  await say('PUT', '/v1/issuers/faulty', { body: { ...issuer('kid-1'), keyType: 'none' } });
  const put = (host: string, issuers: string[]) => {
    const body = { hosts: [host], upstreams: [{ url: 'http://127.0.0.1:3000' }], issuers };
    return say('PUT', `/v1/routes/${issuers[0]}`, { body, headers: wait });
  };
  t.match((await put('shop.example.com', ['unbound'])).body.status, { state: 'failed', reason: /binding/ });
  t.match((await put('*.example.com', ['hooked'])).body.status, { state: 'failed', reason: /answered 500/ });
  const [one, other] = [await makeCertificate('a.example.org'), await makeCertificate('b.example.org')];
  t.equal((await say('POST', '/v1/certificates', { body: { ...one, key: other.key } })).status, 400);
  t.equal((await say('POST', '/v1/certificates', { body: one })).status, 201);
  for (const path of ['issuers', 'certificates', 'certificates/*.example.com/attempts', 'settings'])
    await say('GET', `/v1/${path}`);
  await call('PATCH', '/v1/settings', { body: { webhookTargets: 'any' } });
  const made = (await call('POST', '/v1/webhooks', { body: { url: hook.url } })).body;
  const path = `/v1/webhooks/${made.id}`;
  const signers = [made.secret, (await call('POST', `${path}/rotate-secret`)).body.secret];
  t.match((await say('POST', `${path}/test`)).body, { outcome: 'refused' });
  for (const more of ['', '/deliveries']) await say('GET', `${path}${more}`);
  const { sealedSecrets } = (await store.get('webhook', made.id))!.value;

  const { items: journal } = await store.readJournal({ limit: 1_000 });
  t.match(new Set(journal.map(({ kind }) => kind)), new Set(['route', 'certificate', 'issuer', 'account']));

  const keys = [one.key, other.key].flatMap((pem) => pem.split('\n').filter((line) => line.length > 40));
  const sealed = (await store.list('order', { limit: 10 })).items.flatMap(
    ({ value }) => value.sealedKey ?? [],
  );
  const all = [...lines, ...answers, JSON.stringify(journal)].join('\n');
  t.match(all, /an attempt failed/, 'there is a log to look through');
  for (const secret of [
    hmacKey,
    hookSecret,
    adminToken,
    'PRIVATE KEY',
    ...keys,
    ...sealed,
    ...signers,
    sealedSecrets,
  ])
    t.notOk(all.includes(secret), `${secret.slice(0, 12)}… is kept`);
});
