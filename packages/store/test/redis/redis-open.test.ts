import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { edgeKinds, isAppError } from '@lockstep/contract';
import { createRedisStore } from '@lockstep/store';
import { freePort, startRedis } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';

function store(t: Test, url: string, prefix = `test-${randomUUID()}`) {
  const warnings: string[] = [];
  const log = {
    info: () => {},
    warn: (facts: object, message: string) => warnings.push(`${inspect(facts, { depth: 9 })} ${message}`),
  };
  const created = createRedisStore({ url, prefix, log });
  t.teardown(() => created.close());
  return Object.assign(created, { warnings, prefix });
}

t.test('what open refuses and warns of', async (t) => {
  const server = await startRedis({ args: ['--appendonly', 'no'] });
  t.teardown(() => server.close());
  const admin = new Redis(server.url);
  t.teardown(() => admin.disconnect());

  await t.test('a store without an append-only file is warned of', async (t) => {
    const one = store(t, server.url);
    await one.open({ create: true, expectedEpoch: null });
    t.match(one.warnings, [/appendonly/]);
  });

  await t.test(
    'a store that another revision laid out is refused, and not read as an empty one',
    async (t) => {
      for (const [laidOut, message] of [
        [null, /made by an earlier revision.*begin with an empty one/],
        ['1000', /made by another revision.*begin with an empty one/],
      ] as const) {
        const prefix = `test-${randomUUID()}`;
        await admin.hset(`{${prefix}}:meta`, {
          epoch: 'e',
          number: '1',
          commitId: 'c',
          ...(laidOut && { layout: laidOut }),
        });
        const refusal = { code: 'bad_configuration', message };
        await t.rejects(store(t, server.url, prefix).open({ create: true, expectedEpoch: null }), refusal);
        const edge = store(t, server.url, prefix);
        await t.rejects(edge.head(), refusal);
        const stop = new AbortController();
        const trouble = Promise.withResolvers<Error | null>();
        const following = (async () => {
          const options = { kinds: edgeKinds, signal: stop.signal, onTrouble: trouble.resolve };
          for await (const event of edge.follow(null, options)) t.fail(event.type);
        })();
        t.match(await trouble.promise, refusal, 'an edge says so, and takes no snapshot');
        stop.abort();
        await following;
      }
    },
  );

  await t.test('a store that evicts records is refused', async (t) => {
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    t.teardown(() => admin.config('SET', 'maxmemory-policy', 'noeviction'));
    await t.rejects(store(t, server.url).open({ create: true, expectedEpoch: null }), {
      code: 'bad_configuration',
      message: /noeviction/,
    });
  });

  await t.test('a wrong password is a bad configuration, and stands nowhere', async (t) => {
    await admin.acl('SETUSER', 'someone', 'on', '>right', '~*', '&*', '+@all');
    const one = store(t, server.url.replace('redis://', 'redis://someone:hunter2@'));
    const error = await one.open({ create: true, expectedEpoch: null }).catch((error) => error);
    t.match(error, { code: 'bad_configuration', message: /WRONGPASS/ });
    t.notMatch(inspect(error, { depth: 9, showHidden: true }) + one.warnings.join(), /hunter2/);
    const right = store(t, server.url.replace('redis://', 'redis://someone:right@'));
    t.ok(await right.open({ create: true, expectedEpoch: null }));
  });

  await t.test('a store that is not there fails each call in bounded time', async (t) => {
    const one = store(t, `redis://:hunter2@127.0.0.1:${await freePort()}`);
    const started = performance.now();
    const calls = [one.open({ create: true, expectedEpoch: null }), one.get('route', 'a'), one.now()];
    for (const outcome of await Promise.allSettled(calls)) {
      t.ok(outcome.status === 'rejected' && isAppError(outcome.reason, 'store_unavailable'));
      t.notMatch(inspect(outcome, { depth: 9, showHidden: true }), /hunter2/);
    }
    t.ok(performance.now() - started < 5_000);
  });

  await t.test('a store that swallows commands fails each call in bounded time, and recovers', async (t) => {
    const one = store(t, server.url);
    await one.open({ create: true, expectedEpoch: null });
    process.kill(server.pid, 'SIGSTOP');
    t.teardown(() => process.kill(server.pid, 'SIGCONT'));
    await t.rejects(one.head(), { code: 'store_unavailable', message: /no answer/ });
    process.kill(server.pid, 'SIGCONT');
    t.equal((await one.head()).number, 0);
  });
});
