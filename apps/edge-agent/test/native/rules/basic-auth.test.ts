import { createEdgeSealer } from '@lockstep/pki';
import { hashSync } from 'bcryptjs';
import t, { type Test } from 'tap';
import { readCredentials } from '../../../src/native/rules/basic-auth.ts';
import { type FetchOptions, fetchThrough, fetchThroughH2 } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { type ServingWorker, startWorker } from '../../start-worker.ts';

const hash = hashSync('open sesame', 5);
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

async function start(t: Test) {
  const seen: (string | undefined)[] = [];
  const upstream = await startUpstream(t, (request, response) => {
    seen.push(request.headers.authorization);
    request.resume().on('end', () => response.end('from the upstream'));
  });
  const edge = await startWorker(t);
  const protect = async (secrets: Record<string, string> | null, users = ['ann']) => {
    const sealer = createEdgeSealer(edge.edgeKey);
    const sealed =
      secrets === null ? {} : { sealedSecrets: sealer.seal(JSON.stringify(secrets), 'route/shop') };
    const basicAuth = { realm: 'The "back" office', users: users.map((name) => ({ name })) };
    const more = { basicAuth, ...sealed };
    await edge.applied(await edge.serve('shop', ['shop.example.com'], [upstream.url], ['/'], more));
  };
  return { edge, seen, protect };
}

const at = (
  { httpsPort, root }: ServingWorker,
  authorization?: string,
  more: Partial<FetchOptions> = {},
) => ({
  port: httpsPort,
  host: 'shop.example.com',
  root,
  headers: authorization === undefined ? {} : { authorization },
  ...more,
});

t.test('who has no right name and password is asked for them, and reaches no upstream', async (t) => {
  const { edge, seen, protect } = await start(t);
  await protect({ 'basicAuth ann': hash });
  t.same(edge.status().refusals, []);
  for (const fetch of [fetchThrough, fetchThroughH2]) {
    for (const given of [
      undefined,
      basic('ann:wrong'),
      basic('bob:open sesame'),
      basic('ann'),
      'Basic ***',
      'Bearer abc',
    ]) {
      const answer = await fetch(at(edge, given));
      t.match(answer, {
        status: 401,
        headers: { 'www-authenticate': 'Basic realm="The \\"back\\" office", charset="UTF-8"' },
      });
      t.match(JSON.parse(answer.body), { code: 'not_authenticated' });
    }
    t.same(seen, [], fetch.name);
    const right = basic('ann:open sesame');
    const more = { method: 'POST', body: 'a body that waits'.repeat(1_000) };
    t.match(await fetch(at(edge, right, more)), { status: 200, body: 'from the upstream' });
    t.same(seen.splice(0), [right], 'the upstream sees who it is');
  }
});

t.test('a changed password holds at once, and so does one that is taken away', async (t) => {
  const { edge, protect } = await start(t);
  const status = async (password: string) => (await fetchThrough(at(edge, basic(`ann:${password}`)))).status;
  await protect({ 'basicAuth ann': hash });
  t.strictSame([await status('open sesame'), await status('open sesame')], [200, 200]);
  await protect({ 'basicAuth ann': hashSync('another', 5) });
  t.strictSame([await status('open sesame'), await status('another')], [401, 200]);
  await protect({ 'basicAuth bob': hash }, ['bob']);
  t.strictSame([await status('open sesame'), await status('another')], [401, 401]);
});

t.test('a route whose passwords cannot be had is refused by name, never served without them', async (t) => {
  const { edge, protect } = await start(t);
  const ask = () => fetchThrough(at(edge, basic('ann:open sesame')));
  await protect(null);
  t.match(edge.status().refusals, [{ kind: 'route', id: 'shop', reason: /no password for "ann"/ }]);
  t.equal((await ask()).status, 404);
  await protect({ 'basicAuth ann': 'open sesame' });
  t.match(edge.status().refusals, [
    { id: 'shop', reason: /password hash of "ann" is neither a bcrypt hash/ },
  ]);
  t.notMatch(JSON.stringify(edge.status()), 'sesame');
  await protect({ 'basicAuth ann': hash });
  t.same(edge.status().refusals, []);
  t.equal((await ask()).status, 200);
  await protect({ 'basicAuth bob': hash });
  t.equal(edge.status().refusals.length, 1);
  t.equal((await ask()).status, 200, 'what was there before stays');
});

t.test('a client that guesses is turned away, and others are let in meanwhile', async (t) => {
  const { edge, protect } = await start(t);
  await protect({ 'basicAuth ann': hashSync('open sesame', 10), 'basicAuth eve': hash }, ['ann', 'eve']);
  t.equal((await fetchThrough(at(edge, basic('ann:open sesame')))).status, 200);
  const guesses = Array.from({ length: 12 }, (_, i) =>
    fetchThrough(at(edge, basic(`ann:guess ${i}`), { localAddress: '127.0.0.2' })),
  );
  t.equal((await fetchThrough(at(edge, basic('ann:open sesame')))).status, 200, 'remembered');
  t.equal((await fetchThrough(at(edge, basic('eve:open sesame')))).status, 200, 'in its turn');
  const answers = await Promise.all(guesses);
  t.ok(answers.every(({ status }) => status === 401 || status === 503));
  t.match(
    answers.find(({ status }) => status === 503),
    { headers: { 'retry-after': '5' } },
  );
});

t.test('credentials are read as RFC 7617 has them', async (t) => {
  const cases: [string | undefined, object | null][] = [
    [basic('ann:a:b'), { name: 'ann', password: 'a:b' }],
    [basic('ünn:pässwort'), { name: 'ünn', password: 'pässwort' }],
    [basic(':'), { name: '', password: '' }],
    [basic('x:y').replace('Basic', 'bASIC  '), { name: 'x', password: 'y' }],
    [basic('no colon'), null],
    ['Basic', null],
    ['Basic a b', null],
    [undefined, null],
    [basic(`ann:${'x'.repeat(3_000)}`), null],
  ];
  for (const [given, read] of cases) t.strictSame(readCredentials(given), read, String(given).slice(0, 30));
});
