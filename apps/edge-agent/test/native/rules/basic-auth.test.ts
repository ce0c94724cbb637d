import { once } from 'node:events';
import { createEdgeSealer } from '@lockstep/pki';
import { waitFor } from '@lockstep/testkit';
import { hashSync } from 'bcryptjs';
import t, { type Test } from 'tap';
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws';
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
    const { passwordChecks } = edge.worker.figures().rules;
    t.equal(passwordChecks, 2, 'the wrong one and the right one, once each');
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

t.test(
  'a websocket is opened for who is right, and neither a client nor a route that goes meanwhile is missed',
  async (t) => {
    const edge = await startWorker(t);
    const { url, server } = await startUpstream(t, (_request, response) => response.end('plain'));
    const sockets = new WebSocketServer({ server });
    let opened = 0;
    sockets.on('connection', (socket) => {
      opened += 1;
      socket.on('message', (message) => socket.send(`echo ${message}`));
    });
    const sealer = createEdgeSealer(edge.edgeKey);
    const slow = hashSync('open sesame', 10);
    const put = (hash: string) => {
      const sealedSecrets = sealer.seal(JSON.stringify({ 'basicAuth ann': hash }), 'route/shop');
      const basicAuth = { realm: 'Chat', users: [{ name: 'ann' }] };
      return edge.serve('shop', ['shop.example.com'], [url], ['/'], { basicAuth, sealedSecrets });
    };
    const open = (password: string) =>
      new WebSocket(`wss://127.0.0.1:${edge.httpsPort}/`, {
        headers: { host: 'shop.example.com', authorization: basic(`ann:${password}`) },
        servername: 'shop.example.com',
        ca: edge.root,
      } as ClientOptions);
    await edge.applied(await put(slow));
    const [refused] = await once(open('wrong'), 'error');
    t.match(refused, { message: /401/ });

    const socket = open('open sesame');
    await once(socket, 'open');
    socket.send('hello');
    const [echo] = await once(socket, 'message');
    t.equal(String(echo), 'echo hello');
    socket.terminate();

    await edge.applied(await put(hashSync('open sesame', 10)));
    const leaving = open('open sesame');
    leaving.on('error', () => {});
    await waitFor(() => edge.worker.figures().inFlight === 1, { what: 'its password to be looked at' });
    leaving.terminate();
    await waitFor(() => edge.worker.figures().inFlight === 0, { what: 'nothing to be left of it' });
    t.equal(opened, 1, 'the upstream has not heard of it');

    await edge.applied(await put(hashSync('open sesame', 10)));
    const asked = fetchThrough(at(edge, basic('ann:open sesame')));
    await waitFor(() => edge.worker.figures().inFlight === 1, { what: 'its password to be looked at' });
    await edge.applied(await edge.commit({ op: 'delete', kind: 'route', id: 'shop' }));
    t.match(await asked, { status: 200, body: 'plain' }, 'a request ends as it began');
  },
);
