import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { startDealer, startPebble, startRedis, startUpstream, waitFor } from '../src/index.ts';

/** Sends one line to a Redis and gives what comes back before it hangs up. */
async function ask(port: number, command: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.setEncoding('utf8').write(`${command}\r\nQUIT\r\n`);
  let answer = '';
  socket.on('data', (text) => {
    answer += text;
  });
  await once(socket, 'close');
  return answer;
}

t.test('redis keeps what it was told over a stop, on the same port', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.close());
  t.match(await ask(redis.port, 'SET name value'), /^\+OK/);
  const { pid, url } = redis;
  await redis.stop();
  await t.rejects(ask(redis.port, 'PING'), { code: 'ECONNREFUSED' });
  await redis.start();
  t.match(await ask(redis.port, 'GET name'), /value/);
  t.not(redis.pid, pid);
  t.equal(redis.url, url);
  await redis.kill();
  await redis.start();
  t.match(await ask(redis.port, 'GET name'), /value/);
});

t.test('redis takes settings, and says why it does not start', async (t) => {
  const redis = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] });
  t.teardown(() => redis.close());
  t.match(await ask(redis.port, 'CONFIG GET maxmemory-policy'), /allkeys-lru/);
  await t.rejects(startRedis({ args: ['--no-such-setting', 'x'] }), { message: /no-such-setting/ });
});

t.test('pebble has ARI and profiles, and its processes end with close', async (t) => {
  const pebble = await startPebble({ httpPort: 1 });
  t.teardown(() => pebble.close());
  t.match(pebble.directory, /^https:\/\/localhost:\d+\/dir$/);
  t.match(await pebble.issuingRoots(), /BEGIN CERTIFICATE/);
  t.match(pebble.log.join('\n'), /profile "shortlived"/);
  t.equal(pebble.orderCount(), 0);
  await pebble.close();
  await t.rejects(pebble.issuingRoots(), { code: 'ECONNREFUSED' });
});

t.test('the dealer gives each connection to the next port', async (t) => {
  const upstreams = await Promise.all(
    ['a', 'b'].map((name) => startUpstream((_request, response) => response.end(name))),
  );
  const dealer = await startDealer({ ports: upstreams.map(({ port }) => port) });
  t.teardown(() => Promise.all([dealer, ...upstreams].map((server) => server.close())));
  const answers: string[] = [];
  for (let index = 0; index < 4; index++) {
    const response = await fetch(`http://127.0.0.1:${dealer.port}`, { headers: { connection: 'close' } });
    answers.push(await response.text());
  }
  t.same(answers, ['a', 'b', 'a', 'b']);
  t.same(dealer.dealt, [2, 2]);
});

t.test('an upstream tells what it was asked', async (t) => {
  const upstream = await startUpstream();
  t.teardown(() => upstream.close());
  const response = await fetch(`${upstream.url}/path?query`, { method: 'PUT', headers: { 'x-mark': '1' } });
  t.match(await response.json(), { method: 'PUT', url: '/path?query', headers: { 'x-mark': '1' } });
});

t.test('waitFor gives the first result, and else fails with what was waited for', async (t) => {
  let calls = 0;
  t.equal(await waitFor(() => (++calls < 3 ? null : calls), { what: 'three calls', intervalMs: 1 }), 3);
  const cause = new Error('no');
  const failing = waitFor(() => Promise.reject(cause), { what: 'a miracle', timeoutMs: 5, intervalMs: 1 });
  await t.rejects(failing, { message: /a miracle/, cause });
});
