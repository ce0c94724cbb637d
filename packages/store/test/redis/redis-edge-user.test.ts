import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { inspect } from 'node:util';
import { edgeKinds, type FollowEvent, type Hint, type Kind, kinds } from '@lockstep/contract';
import { type Change, createRedisStore } from '@lockstep/store';
import { startRedis, waitFor } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { commitOf, putOrder, putRoute, report } from '../conformance/records.ts';
import { followView } from '../conformance/view.ts';

function store(t: Test, url: string, prefix: string) {
  const warnings: string[] = [];
  const log = {
    info: () => {},
    warn: (facts: object, message: string) => warnings.push(`${inspect(facts, { depth: 9 })} ${message}`),
  };
  const created = createRedisStore({ url, prefix, log });
  t.teardown(() => created.close());
  return Object.assign(created, { warnings, prefix });
}

/** The rights of `user` as docs/install-an-edge.md gives them, for another prefix. */
async function documentedRights(user: string, prefix: string): Promise<string[]> {
  const page = await readFile(new URL('../../../../docs/install-an-edge.md', import.meta.url), 'utf8');
  const line = page.split('\n').find((line) => line.startsWith(`user ${user} `));
  const rights = line!.slice(`user ${user} `.length).replaceAll('{lockstep}', `{${prefix}}`);
  return rights.match(/\([^)]*\)|\S+/g)!;
}

/** The settings of Redis as docs/install-an-edge.md gives them against an edge that asks for too much. */
async function documentedBounds(): Promise<string[]> {
  const page = await readFile(new URL('../../../../docs/install-an-edge.md', import.meta.url), 'utf8');
  const lines = page.match(/`(proto-max-bulk-len|client-output-buffer-limit|maxmemory-clients) [^`]+`/g)!;
  return lines.flatMap((line) => {
    const [name, ...values] = line.slice(1, -1).split(' ');
    return [`--${name}`, ...values];
  });
}

t.test('the Redis user of an edge', async (t) => {
  const server = await startRedis({ args: await documentedBounds() });
  t.teardown(() => server.close());
  const admin = new Redis(server.url);
  t.teardown(() => admin.disconnect());
  const prefix = `test-${randomUUID()}`;
  const p = `{${prefix}}`;
  const url = (user: string) => server.url.replace('redis://', `redis://${user}:PASSWORD@`);
  for (const user of ['edge-1', 'control-plane']) {
    await admin.acl('SETUSER', user, ...(await documentedRights(user, prefix)));
  }
  const control = store(t, url('control-plane'), prefix);
  const edge = store(t, url('edge-1'), prefix);
  const raw = new Redis(url('edge-1'));
  t.teardown(() => raw.disconnect());
  const epoch = await control.open({ create: true, expectedEpoch: null });

  await t.test('follows, from a snapshot and by announcements', async (t) => {
    await control.commit(commitOf(putRoute('a')));
    const view = followView(t, edge.follow, null, { followed: edgeKinds });
    await view.until(() => view.seen.includes('current'));
    await view.reached(await control.commit(commitOf(putRoute('b'))));
    t.same(view.ids(), ['route/a', 'route/b']);
    t.same(view.troubles, []);
    t.same(edge.warnings, []);
  });

  await t.test('that a control plane has told of is known to the next one, however soon', async (t) => {
    const next = store(t, url('control-plane'), prefix);
    const heard = Promise.withResolvers<void>();
    const unwatch = control.watchNodes((presence) => presence !== null && heard.resolve());
    t.teardown(unwatch);
    const reporting = setInterval(() => edge.reportNode(report('edge-1')).catch(() => {}), 50);
    t.teardown(() => clearInterval(reporting));
    await heard.promise;
    clearInterval(reporting);
    t.match(await next.listNodes(), [{ report: { node: 'edge-1' } }]);
    await edge.removeNode('edge-1', 'instance-1', { returns: false });
    await waitFor(async () => (await control.listNodes()).length === 0, { what: 'it to be forgotten' });
  });

  await t.test('reports itself, is enlisted by the control plane that hears of it, and leaves', async (t) => {
    t.teardown(control.watchNodes(() => {}));
    await waitFor(
      async () => {
        await edge.reportNode(report('edge-1'));
        return (await control.listNodes()).length === 1;
      },
      { what: 'the node to be heard of' },
    );
    t.match(await control.listNodes(), [{ report: { node: 'edge-1' }, live: true }]);
    const later = store(t, url('control-plane'), prefix);
    await waitFor(async () => (await later.listNodes()).length === 1, { what: 'the node to be enlisted' });
    await t.rejects(edge.reportNode(report('edge-1', { instance: 'i2', home: 'h2' })), {
      code: 'node_id_taken',
    });
    await edge.removeNode('edge-1', 'instance-1', { returns: true });
    t.match(await control.listNodes(), [{ live: false, stopped: true }]);
    await edge.reportNode(report('edge-1'));
    await edge.removeNode('edge-1', 'instance-1', { returns: false });
    t.same(await control.listNodes(), []);
  });

  await t.test(
    'of a copied home, the one that came later is refused once the first reports again',
    async (t) => {
      const copy = store(t, url('edge-1'), prefix);
      const copied = report('edge-1', { instance: 'copied' });
      await edge.reportNode(report('edge-1'));
      await copy.reportNode(copied);
      await edge.reportNode(report('edge-1'));
      await t.rejects(copy.reportNode(copied), { code: 'node_id_taken' });
      await edge.reportNode(report('edge-1'));
      await control.forgetNode('edge-1');
    },
  );

  await t.test('cannot commit, nor take a lease', async (t) => {
    const opened = store(t, url('edge-1'), prefix);
    await opened.open({ create: false, expectedEpoch: epoch });
    await t.rejects(opened.commit(commitOf(putRoute('x'))), { code: 'bad_configuration', message: /NOPERM/ });
    await t.rejects(opened.acquireLease('x', 1_000), { message: /NOPERM/ });
    t.equal(await control.get('route', 'x'), null);
  });

  await t.test('cannot touch the presence of another', async (t) => {
    await control.reportNode(report('edge-2'));
    const other = report('edge-2', { instance: 'i2' });
    await t.rejects(edge.reportNode(other), { message: /NOPERM/ });
    await t.rejects(edge.removeNode('edge-2', 'instance-1', { returns: false }), { message: /NOPERM/ });
    await raw.set(
      `${p}:node:edge-1`,
      JSON.stringify({ report: other, stopped: false }),
      'PX',
      34_560_000_000,
    );
    await raw.publish(`${p}:nodes`, 'edge-1');
    t.match(await control.listNodes(), [{ report: { node: 'edge-2', instance: 'instance-1' } }]);
    t.equal((await control.listNodes()).length, 1, 'its own key speaks for itself only');
    await t.rejects(raw.zadd(`${p}:node-ids`, '0', 'edge-9'), /NOPERM/);
    await t.rejects(raw.zrem(`${p}:node-ids`, 'edge-2'), /NOPERM/);
    await control.forgetNode('edge-2');
  });

  await t.test('cannot date itself, nor stand where the history is not', async (t) => {
    const head = await control.head();
    const ownPresence = async () =>
      (await control.listNodes()).find(({ report }) => report.node === 'edge-1');
    await admin.zadd(`${p}:node-ids`, '0', 'edge-1');
    await edge.reportNode(report('edge-1', { applied: { ...head, number: head.number + 1_000 } }));
    t.match(await ownPresence(), { live: true, standing: 'ahead' });
    await edge.reportNode(report('edge-1', { applied: { ...head, commitId: 'another' } }));
    t.match(await ownPresence(), { live: true, standing: 'apart' });
    const value = JSON.stringify({ report: report('edge-1', { applied: head }), stopped: false });
    await raw.set(`${p}:node:edge-1`, value, 'PX', 400 * 86_400_000 + 3_600_000);
    t.match(await ownPresence(), { live: false }, 'a date to come');
    await raw.set(`${p}:node:edge-1`, value);
    t.match(await ownPresence(), { live: false }, 'a presence without an end');
    await raw.set(`${p}:node:edge-1`, value, 'PX', 1_000);
    t.match(await ownPresence(), { live: false }, 'a date long ago');
    await edge.reportNode(report('edge-1', { applied: head }));
    t.match(await ownPresence(), { live: true, standing: 'on' }, 'and it is heard again');
  });

  await t.test('cannot hold up the list of nodes by what it writes', async (t) => {
    await control.reportNode(report('edge-2'));
    const junk = [
      '',
      '\0',
      'null',
      '[]',
      '{"report":null}',
      '{"report":{"node":"edge-1"}}',
      'x'.repeat(2_000_000),
    ];
    for (const value of junk) {
      await raw.set(`${p}:node:edge-1`, value, 'PX', 34_560_000_000);
      await raw.publish(`${p}:nodes`, value);
      t.match(await control.listNodes(), [{ report: { node: 'edge-2' } }]);
    }
    for (const value of junk) await raw.publish(`${p}:asks`, value);
    await edge.reportNode(report('edge-1'));
    t.equal((await control.listNodes()).length, 2);
    t.match(await control.commit(commitOf(putRoute('c'))), { number: Number });
  });

  await t.test('asks about hosts and hears the verdicts, but gives none', async (t) => {
    const heard: string[] = [];
    const hear = (hint: Hint) => heard.push(`${hint.hint} ${'host' in hint ? hint.host : hint.id}`);
    t.teardown(edge.watchHints(hear));
    t.teardown(control.watchHints(hear));
    const until = Date.now();
    await waitFor(
      async () => {
        await edge.sendHint({ hint: 'ask', host: 'a', node: 'edge-1' });
        await control.sendHint({ hint: 'verdict', host: 'b', allowed: true, until });
        await control.sendHint({ hint: 'upstreams', node: 'edge-1', id: 'q', after: '', limit: 1 });
        await edge.sendHint({ hint: 'upstream-states', id: 'q', states: [], next: null });
        return ['ask a', 'verdict b', 'upstreams q', 'upstream-states q'].every(
          (one) => heard.filter((other) => other === one).length > 1,
        );
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

  await t.test('sees of what is for control planes alone nothing but that there was a commit', async (t) => {
    const secret = `secret-${randomUUID()}`;
    const controlKinds = kinds.filter((kind) => !edgeKinds.includes(kind));
    t.ok(controlKinds.includes('account') && controlKinds.includes('settings'));
    const put = (kind: Kind, claims: string[]): Change =>
      ({ op: 'put', kind, id: secret, value: { kept: secret }, claims, dueAt: 1 }) as unknown as Change;
    const from = await control.head();
    const listener = new Redis(url('edge-1'));
    t.teardown(() => listener.disconnect());
    const heard: string[] = [];
    listener.on('message', (_channel, message) => heard.push(message));
    await listener.subscribe(`${p}:edge:commits`);
    const stop = new AbortController();
    t.teardown(() => stop.abort());
    const followed: FollowEvent[] = [];
    const following = (async () => {
      for await (const event of edge.follow(from, { kinds: edgeKinds, signal: stop.signal }))
        followed.push(event);
    })();
    const view = followView(t, edge.follow, null, { followed: edgeKinds });
    for (const kind of controlKinds) {
      const requestId = secret;
      await control.commit({
        ...commitOf(put(kind, [`${kind} ${secret}`])),
        by: { kind: 'token', name: secret },
        requestId,
      });
    }
    await control.acquireLease(secret, 60_000);
    const last = await control.commit({
      ...commitOf(putRoute('seen'), putOrder(secret, 1)),
      by: { kind: 'token', name: secret },
    });

    await t.test('in what it is told', async (t) => {
      await view.reached(last);
      await waitFor(() => followed.length > controlKinds.length + 1, { what: 'all commits' });
      await waitFor(() => heard.length > controlKinds.length, { what: 'all announcements' });
      stop.abort();
      await following;
      const entries = followed.flatMap((event) => (event.type === 'commit' ? [event.entry] : []));
      t.same(
        entries.map(({ position }) => position.number),
        Array.from(entries, (_, index) => from.number + 1 + index),
        'every revision',
      );
      for (const entry of entries.slice(0, -1)) {
        t.same(Object.keys(entry).sort(), ['changes', 'position', 'previousCommitId']);
        t.same(entry.changes, []);
      }
      t.match(entries.at(-1)?.changes, [{ kind: 'route', id: 'seen' }]);
      t.equal(entries.at(-1)?.changes.length, 1);
      for (const told of [heard, followed, view.records])
        t.notOk(inspect(told, { depth: 9 }).includes(secret));
    });

    const keys = await admin.keys(`${p}:*`);
    const readable = [`${p}:meta`, `${p}:history`, `${p}:node:edge-1`];
    const isReadable = (key: string) => readable.includes(key) || key.startsWith(`${p}:edge:`);

    await t.test('in the keys that it may read', async (t) => {
      for (const key of keys.filter(isReadable)) {
        const type = await admin.type(key);
        const content =
          type === 'hash'
            ? await admin.hgetall(key)
            : type === 'zset'
              ? await admin.zrange(key, '0', '-1')
              : type === 'stream'
                ? await admin.xrange(key, '-', '+')
                : await admin.get(key);
        t.notOk(JSON.stringify(content).includes(secret), key);
      }
    });

    await t.test('in any other key, by any command', async (t) => {
      const others = keys.filter((key) => !isReadable(key));
      t.ok(others.length > 12, others.join(' '));
      const commands = (key: string): string[][] =>
        [
          ...[
            'GET',
            'GETEX',
            'GETDEL',
            'STRLEN',
            'DUMP',
            'TYPE',
            'EXISTS',
            'PTTL',
            'TTL',
            'HGETALL',
            'HKEYS',
            'HVALS',
          ],
          ...[
            'HLEN',
            'LLEN',
            'SMEMBERS',
            'XLEN',
            'ZCARD',
            'SORT',
            'SORT_RO',
            'WATCH',
            'DEL',
            'UNLINK',
            'TOUCH',
          ],
        ]
          .map((name) => [name, key])
          .concat([
            ['GETRANGE', key, '0', '-1'],
            ['SET', key, 'x', 'GET'],
            ...[`order/${secret}`, 'number'].flatMap((field) => [
              ['HGET', key, field],
              ['HMGET', key, field],
              ['HSTRLEN', key, field],
              ['HEXISTS', key, field],
            ]),
            ...['HSCAN', 'ZSCAN', 'SSCAN'].map((name) => [name, key, '0']),
            ['HRANDFIELD', key, '9'],
            ['ZRANGE', key, '0', '-1'],
            ['ZRANGEBYLEX', key, '-', '+'],
            ['ZRANGEBYSCORE', key, '-inf', '+inf'],
            ['ZRANGESTORE', `${p}:node:edge-1`, key, '0', '-1'],
            ['LRANGE', key, '0', '-1'],
            ['XRANGE', key, '-', '+'],
            ['XREVRANGE', key, '+', '-'],
            ['XREAD', 'STREAMS', key, '0'],
            ['XINFO', 'STREAM', key],
            ['COPY', key, `${p}:node:edge-1`],
            ['RENAME', key, `${p}:node:edge-1`],
            ['SORT', key, 'BY', 'nosort', 'STORE', `${p}:node:edge-1`],
            ['OBJECT', 'ENCODING', key],
            ['MEMORY', 'USAGE', key],
            ['MIGRATE', '127.0.0.1', '1', key, '0', '1'],
          ]);
      for (const key of others) {
        for (const [name = '', ...args] of commands(key)) {
          await t.rejects(raw.call(name, ...args), /NOPERM|no permissions/, `${name} ${key}`);
        }
      }
      for (const command of [
        ['SCAN', '0'],
        ['KEYS', '*'],
        ['RANDOMKEY'],
        ['CLIENT', 'TRACKING', 'ON', 'BCAST'],
        ['SLOWLOG', 'GET'],
      ])
        await t.rejects(raw.call(...(command as [string, ...string[]])), /NOPERM|no permissions/);
    });

    await t.test('on any other channel, by name or by pattern', async (t) => {
      for (const channel of ['control:commits', 'nodes', 'asks', '*'].map((name) => `${p}:${name}`)) {
        for (const name of ['SUBSCRIBE', 'PSUBSCRIBE', 'SSUBSCRIBE'])
          await t.rejects(raw.call(name, channel), /NOPERM|no permissions/, `${name} ${channel}`);
      }
      await t.rejects(raw.call('PSUBSCRIBE', `${p}:edge:*`), /NOPERM|no permissions/);
    });

    await t.test('by the store’s own ways', async (t) => {
      for (const kind of controlKinds) {
        await t.rejects(edge.get(kind, secret), { message: /NOPERM/ }, kind);
        await t.rejects(edge.list(kind, { limit: 10 }), { message: /NOPERM/ }, kind);
      }
      await t.rejects(edge.readLog(from, 10), { message: /NOPERM/ });
      await t.rejects(edge.readJournal({ limit: 10 }), { message: /NOPERM/ });
    });
  });

  await t.test('cannot run anything, forge an announcement, or write anything else', async (t) => {
    const refused = async (...command: [string, ...(string | number)[]]) =>
      t.rejects(raw.call(...command), /NOPERM|no permissions/, command.join(' ').slice(0, 60));
    const sha = '0'.repeat(40);
    await refused('EVAL', 'while true do end', 0);
    await refused('EVAL_RO', 'while true do end', 0);
    await refused('EVALSHA', sha, 1, `${p}:node:edge-1`);
    await refused('SCRIPT', 'LOAD', 'return 1');
    await refused('SCRIPT', 'FLUSH');
    await refused('FUNCTION', 'FLUSH');
    await refused('FCALL', 'any', 0);
    for (const audience of ['edge', 'control'])
      await refused('PUBLISH', `${p}:${audience}:commits`, 'forged');
    await refused('PUBLISH', `${p}:verdicts`, 'forged');
    for (const name of [
      'meta',
      ...['edge', 'control'].flatMap((one) => [`${one}:records`, `${one}:ids`, `${one}:log`]),
      'history',
      'turns',
      'node-ids',
      'node:edge-2',
      'lease:a',
    ]) {
      await refused('SET', `${p}:${name}`, 'x');
      await refused('DEL', `${p}:${name}`);
    }
    const own = `${p}:node:edge-1`;
    await refused('APPEND', own, 'x');
    await refused('SETRANGE', own, 500_000_000, 'x');
    await refused('RPUSH', own, 'x');
    await refused('XADD', own, '*', 'x', 'y');
    await refused('HSET', own, 'x', 'y');
    await refused('SET', 'elsewhere', 'x');
    await refused('GETRANGE', 'elsewhere', 0, 1);
    for (const command of ['FLUSHALL', 'FLUSHDB', 'SHUTDOWN', 'SAVE', 'MONITOR']) await refused(command);
    await refused('KEYS', '*');
    await refused('REPLICAOF', 'NO', 'ONE');
    await refused('CONFIG', 'SET', 'maxmemory', '1');
    await refused('CLIENT', 'KILL', 'TYPE', 'normal');
    await refused('CLIENT', 'PAUSE', '100000');
    await refused('ACL', 'SETUSER', 'edge-1', '+@all');
  });

  await t.test('cannot fill the memory of Redis by what it writes or leaves unread', async (t) => {
    const writer = new Redis(url('edge-1'), { retryStrategy: () => null, maxRetriesPerRequest: 0 });
    t.teardown(() => writer.disconnect());
    writer.on('error', () => {});
    await t.rejects(writer.set(`${p}:node:edge-1`, 'x'.repeat(5_000_000)), 'a value beyond the bound');

    for (let i = 0; i < 8; i++) {
      await control.commit(commitOf(putRoute('big', [`${'b'.repeat(900_000)}${i}`])));
    }
    const reader = connect(server.port, '127.0.0.1').on('error', () => {});
    t.teardown(() => reader.destroy());
    await once(reader, 'connect');
    reader.write(`AUTH edge-1 PASSWORD\r\n${`XRANGE ${p}:edge:log - +\r\n`.repeat(60)}`);
    const address = `addr=127.0.0.1:${reader.localPort} `;
    await waitFor(async () => !String(await admin.client('LIST')).includes(address), {
      what: 'Redis to cut off who reads nothing',
    });
    t.match(await control.commit(commitOf(putRoute('after'))), { number: Number });
  });
});
