import { once } from 'node:events';
import { connect } from 'node:net';
import { fastify } from 'fastify';
import t from 'tap';
import { createLoadBound } from '../../src/api/load-bound.ts';
import { answerWithProblem } from '../../src/api/problem-answers.ts';

/** A server whose writes are answered when the test says so. */
async function start(test: Pick<typeof t, 'teardown'>) {
  const load = createLoadBound({ writes: 3, waits: 2 });
  const app = fastify();
  test.teardown(() => app.close());
  app.setErrorHandler(answerWithProblem);
  const held: (() => void)[] = [];
  let over = 0;
  const hold = () => new Promise<void>((resolve) => held.push(resolve));
  await app.register(async (guarded) => {
    load.attach(guarded);
    guarded.addHook('onRequest', async (_request, reply) => {
      reply.raw.once('close', () => {
        over += 1;
      });
    });
    guarded.get('/', async () => 'read');
    guarded.post('/', async (request) => {
      if (request.headers.prefer !== undefined) {
        if (!load.wait(request)) return 'at once';
        await hold();
        return 'waited';
      }
      await hold();
      return 'written';
    });
  });
  app.get('/healthz', async () => 'ok');
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const post = (headers = {}) =>
    fetch(url, { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain', ...headers } });
  /** Resolves once three requests that were taken are over, answered or not. */
  const freed = async () => {
    while (over < 3) await new Promise(setImmediate);
  };
  const until = async (count: number) => {
    while (held.length < count) await new Promise(setImmediate);
  };
  return { load, freed, url, post, held, until };
}

t.test(
  'more writes than a control plane bears are answered 503 at once, health checks and reads go on',
  async (t) => {
    const { url, post, held, until } = await start(t);
    const taken = [post(), post(), post()];
    await until(3);
    const refused = await post();
    t.equal(refused.status, 503);
    t.equal(refused.headers.get('retry-after'), '1');
    t.match(await refused.json(), { code: 'overloaded' });
    t.equal((await fetch(url)).status, 200);
    t.equal((await fetch(`${url}/healthz`)).status, 200);
    for (const go of held.splice(0)) go();
    t.same(
      (await Promise.all(taken)).map(({ status }) => status),
      [200, 200, 200],
    );
    const next = post();
    await until(1);
    held.pop()?.();
    t.equal((await next).status, 200);
  },
);

t.test('whoever waits is no writer any more, and too many who would wait are answered at once', async (t) => {
  const { post, held, until } = await start(t);
  const waiting = [post({ prefer: 'wait=9' }), post({ prefer: 'wait=9' })];
  await until(2);
  t.equal(await (await post({ prefer: 'wait=9' })).text(), 'at once');
  const taken = [post(), post(), post()];
  await until(5);
  t.equal((await post()).status, 503);
  for (const go of held.splice(0)) go();
  await Promise.all([...waiting, ...taken]);
});

t.test('a caller who goes away before the answer leaves no place taken', async (t) => {
  const { freed, url, post, held, until } = await start(t);
  const sockets = Array.from({ length: 3 }, () => connect(Number(new URL(url).port), '127.0.0.1'));
  for (const socket of sockets)
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx');
  await until(3);
  t.equal((await post()).status, 503);
  for (const socket of sockets) {
    socket.destroy();
    await once(socket, 'close');
  }
  for (const go of held.splice(0)) go();
  await freed();
  const again = post();
  await until(1);
  held.pop()?.();
  t.equal((await again).status, 200);
});

t.test('what can wait leaves the process to a write, for so long at the most', async (t) => {
  const { load, post, held, until } = await start(t);
  await load.quiet(600_000);
  const written = post();
  await until(1);
  let quiet = false;
  const waited = load.quiet(600_000).then(() => {
    quiet = true;
  });
  await load.quiet(10);
  t.notOk(quiet, 'it gave up, and the write is still under way');
  held[0]!();
  await Promise.all([written, waited]);
  t.ok(quiet);
});
