import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { isAppError } from '@lockstep/contract';
import { createRedisStore } from '@lockstep/store';
import { freePort, startRedis, waitFor } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { commitOf, putRoute, report } from './conformance/records.ts';
import { followView } from './conformance/view.ts';

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

t.test('the Redis user of an edge', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.close());
  const admin = new Redis(server.url);
  t.teardown(() => admin.disconnect());
  const control = store(t, server.url);
  const p = `{${control.prefix}}`;
  // As in src/redis/redis-presence.ts.
  const line = `on >PASSWORD resetkeys resetchannels -@all +hello +auth +ping +info +time
    +subscribe +unsubscribe &${p}:commits &${p}:nodes &${p}:asks &${p}:verdicts
    +hget +hmget +zrange +zrangebylex +zlexcount +xrange +get +mget +eval +evalsha +set +del
    %R~${p}:* ~${p}:node:edge-1 (+zadd %W~${p}:node-ids) (+publish &${p}:nodes) (+publish &${p}:asks)`;
  await admin.acl('SETUSER', 'edge-1', ...line.match(/\([^)]*\)|\S+/g)!);
  const edgeUrl = server.url.replace('redis://', 'redis://edge-1:PASSWORD@');
  const edge = store(t, edgeUrl, control.prefix);
  const raw = new Redis(edgeUrl);
  t.teardown(() => raw.disconnect());
  const epoch = await control.open({ create: true, expectedEpoch: null });

  await t.test('follows, from a snapshot and by announcements', async (t) => {
    await control.commit(commitOf(putRoute('a')));
    const view = followView(t, edge.follow, null);
    await view.until(() => view.seen.includes('current'));
    await view.reached(await control.commit(commitOf(putRoute('b'))));
    t.same(view.ids(), ['route/a', 'route/b']);
    t.same(view.troubles, []);
    t.same(edge.warnings, []);
  });

  await t.test('reports itself and leaves', async (t) => {
    await edge.reportNode(report('edge-1'));
    t.match(await control.listNodes(), [{ report: { node: 'edge-1' }, live: true }]);
    t.match(await edge.listNodes(), [{ report: { node: 'edge-1' } }]);
    await t.rejects(edge.reportNode(report('edge-1', { instance: 'i2', home: 'h2' })), {
      code: 'node_id_taken',
    });
    await edge.removeNode('edge-1', 'instance-1');
    t.same(await control.listNodes(), []);
  });

  await t.test('cannot commit, nor take a lease', async (t) => {
    await edge.open({ create: false, expectedEpoch: epoch });
    await t.rejects(edge.commit(commitOf(putRoute('x'))), { code: 'bad_configuration', message: /NOPERM/ });
    await t.rejects(edge.acquireLease('x', 1_000), { message: /NOPERM/ });
    t.equal(await control.get('route', 'x'), null);
  });

  await t.test('cannot touch the presence of another', async (t) => {
    await control.reportNode(report('edge-2'));
    const other = report('edge-2', { instance: 'i2' });
    await t.rejects(edge.reportNode(other), { message: /NOPERM/ });
    await t.rejects(edge.removeNode('edge-2', 'instance-1'), { message: /NOPERM/ });
    await raw.set(`${p}:node:edge-1`, `${Date.now()}\n"i2"\n"home-1"\n${JSON.stringify(other)}`);
    t.match(await control.listNodes(), [{ report: { node: 'edge-2', instance: 'instance-1' } }]);
    t.equal((await control.listNodes()).length, 1, 'its own key speaks for itself only');
    await t.rejects(raw.zrem(`${p}:node-ids`, 'edge-2'), /NOPERM/);
  });

  await t.test('asks about hosts and hears the verdicts, but gives none', async (t) => {
    const heard: string[] = [];
    t.teardown(edge.watchHints(({ hint, host }) => heard.push(`${hint} ${host}`)));
    t.teardown(control.watchHints(({ hint, host }) => heard.push(`${hint} ${host}`)));
    const until = Date.now();
    await waitFor(
      async () => {
        await edge.sendHint({ hint: 'ask', host: 'a', node: 'edge-1' });
        await control.sendHint({ hint: 'verdict', host: 'b', allowed: true, until });
        return ['ask a', 'verdict b'].every((one) => heard.filter((other) => other === one).length > 1);
      },
      { what: 'both to hear both' },
    );
    await t.rejects(edge.sendHint({ hint: 'verdict', host: 'c', allowed: false, until }), {
      message: /NOPERM/,
    });
    await raw.publish(`${p}:asks`, JSON.stringify({ hint: 'verdict', host: 'c', allowed: false, until }));
    await edge.sendHint({ hint: 'ask', host: 'd', node: 'edge-1' });
    await waitFor(() => heard.includes('ask d'), { what: 'what came after it' });
    t.notOk(heard.includes('verdict c'));
  });

  await t.test('of an earlier version, which may hear no hints, hears commits at once', async (t) => {
    const earlier = line.replace(/ &\S+:(asks|verdicts)/g, '').replace(/ \([^(]*:asks\)/, '');
    await admin.acl('SETUSER', 'edge-0', ...earlier.match(/\([^)]*\)|\S+/g)!);
    const old = store(t, server.url.replace('redis://', 'redis://edge-0:PASSWORD@'), control.prefix);
    const view = followView(t, old.follow, null);
    await view.until(() => view.seen.includes('current'));
    for (const id of ['x', 'y', 'z']) {
      const started = performance.now();
      await view.reached(await control.commit(commitOf(putRoute(id))));
      t.ok(performance.now() - started < 1_000, 'not only when it looks');
    }
    t.match(old.warnings.join(), /may not hear this channel/);
  });

  await t.test('cannot forge an announcement or write anything else', async (t) => {
    await t.rejects(raw.publish(`${p}:commits`, 'forged'), /NOPERM/);
    await t.rejects(
      raw.eval(`return redis.call('PUBLISH', '${p}:commits', 'x')`, 0),
      /NOPERM|permissions|can't publish/,
    );
    for (const name of ['meta', 'records', 'ids', 'log', 'node:edge-2', 'lease:a']) {
      await t.rejects(raw.set(`${p}:${name}`, 'x'), /NOPERM/);
      await t.rejects(
        raw.eval("return redis.call('DEL', KEYS[1])", 1, `${p}:${name}`),
        /NOPERM|permissions|can't publish/,
      );
    }
    await t.rejects(raw.flushall(), /NOPERM/);
  });
});
