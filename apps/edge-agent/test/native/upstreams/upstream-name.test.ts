import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { defaultEdgeSettings } from '@lockstep/contract';
import { createDeniedAddresses } from '@lockstep/pki/denied-addresses';
import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { type Address, dial } from '../../../src/native/upstreams/dial.ts';
import type { FailureCause } from '../../../src/native/upstreams/failure-cause.ts';
import { createHealthBoard } from '../../../src/native/upstreams/health-board.ts';
import { createUpstreamName, type NameSource } from '../../../src/native/upstreams/upstream-name.ts';
import { upstreamLimitsOf } from '../../../src/native/upstreams/upstream-pool.ts';
import { createUpstreams, type UpstreamGroup } from '../../../src/native/upstreams/upstreams.ts';

const v4 = (...all: string[]): Address[] => all.map((address) => ({ address, family: 4 }));

interface Names extends NameSource {
  now: Address[] | Error;
  ttl: number | null;
  looks: number;
}

function names(now: Names['now'], ttl: number | null = 60_000): Names {
  const source: Names = {
    now,
    ttl,
    looks: 0,
    async lookUp() {
      source.looks += 1;
      if (source.now instanceof Error) throw source.now;
      return source.now;
    },
    ttlMs: async () => source.ttl,
  };
  return source;
}

const resolved = (name: ReturnType<typeof createUpstreamName>) =>
  new Promise<string[]>((resolve, reject) => {
    name.resolve((error, found) =>
      error === null ? resolve(found.map(({ address }) => address)) : reject(error),
    );
  });

t.test(
  'a name is looked at once as long as DNS says that it holds, and every address has its turn',
  async (t) => {
    const source = names([...v4('192.0.2.1', '192.0.2.2'), { address: '2001:db8::1', family: 6 }]);
    const name = createUpstreamName('app.internal', () => {}, source);
    const first = await Promise.all([resolved(name), resolved(name), resolved(name)]);
    t.same(new Set(first.map(([one]) => one)), new Set(['192.0.2.1', '192.0.2.2']));
    for (const all of first) t.equal(all[1], '2001:db8::1', 'the families alternate');
    t.equal(source.looks, 1);
    name.prefer(6);
    t.equal((await resolved(name))[0], '2001:db8::1', 'that which answered comes first');
  },
);

t.test(
  'a name is looked at anew when its time is over, and keeps its last addresses where that fails',
  async (t) => {
    const changes: ReadonlySet<string>[] = [];
    const source = names(v4('192.0.2.1'), 0);
    const name = createUpstreamName('app.internal', (now) => changes.push(now), source);
    await resolved(name);
    source.now = v4('192.0.2.2');
    await waitFor(async () => name.due, { what: 'its time to be over' });
    t.same(await resolved(name), ['192.0.2.2']);
    t.same(changes, [new Set(['192.0.2.2'])]);
    await waitFor(async () => name.due, { what: 'its time to be over' });
    source.now = Object.assign(new Error('gone'), { code: 'ENOTFOUND' });
    t.same(await resolved(name), ['192.0.2.2']);
    t.equal(changes.length, 1);
    name.close();
  },
);

t.test('a name that never was is looked for each time', async (t) => {
  const source = names(Object.assign(new Error('none'), { code: 'ENOTFOUND' }));
  const name = createUpstreamName('app.internal', () => {}, source);
  await t.rejects(resolved(name), { code: 'ENOTFOUND' });
  source.now = v4('192.0.2.1');
  t.same(await resolved(name), ['192.0.2.1']);
});

async function listen(t: { teardown(run: () => void): void }, host: string, port = 0): Promise<Server> {
  const server = createServer((request, response) => response.end(request.socket.localAddress)).listen(
    port,
    host,
  );
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return server;
}

t.test('an address that does not answer does not keep the next one waiting', async (t) => {
  const { port } = (await listen(t, '127.0.0.1')).address() as AddressInfo;
  const reached = (addresses: Address[]) =>
    new Promise<string | undefined>((resolve, reject) => {
      dial(addresses, port, true, (error, socket) => {
        if (error === null) resolve(socket!.remoteAddress);
        else reject(error);
        socket?.destroy();
      });
    });
  t.equal(await reached(v4('127.0.0.9', '192.0.2.1', '127.0.0.1')), '127.0.0.1');
  await t.rejects(reached(v4('127.0.0.9')), { code: 'ECONNREFUSED' });
});

function ask(group: UpstreamGroup): Promise<string> {
  return new Promise<string>((resolve) => {
    let body = '';
    const headers = ['host', 'app.internal'];
    group.send({ method: 'GET', path: '/', headers, clientAddress: '192.0.2.7' }, null, null, {
      isOpen: true,
      clientEnds: () => ({ sourceAddress: '', sourcePort: 0, targetAddress: '', targetPort: 0 }),
      onInterim() {},
      onHead() {},
      onData(chunk) {
        body += chunk;
      },
      onEnd: () => resolve(body),
      onUpgrade() {},
      onFailed: (cause) => resolve(cause),
      onBroken: () => resolve('broken'),
    });
  });
}

t.test('connections follow a name to where it leads, and denied addresses are none of it', async (t) => {
  const { port } = (await listen(t, '127.0.0.2')).address() as AddressInfo;
  await listen(t, '127.0.0.3', port);
  const source = names(v4('127.0.0.2'), 0);
  let denied = createDeniedAddresses([]);
  const failures: FailureCause[] = [];
  const upstreams = createUpstreams({
    limits: () => upstreamLimitsOf(defaultEdgeSettings),
    denied: () => denied,
    clientCertificate: () => null,
    onFailure: (cause) => failures.push(cause),
    names: source,
    health: createHealthBoard({ watch() {}, failed() {} }, []),
    secret: '',
  });
  t.teardown(() => upstreams.close());
  const group = upstreams.acquire({ upstreams: [{ url: `http://app.internal:${port}` }] }, '');
  const get = () => ask(group);
  t.equal(await get(), '127.0.0.2');
  source.now = v4('127.0.0.3');
  await waitFor(async () => (await get()) === '127.0.0.3', { what: 'the kept connection to be given up' });
  source.now = new Error('the resolver is away');
  const { looks } = source;
  await waitFor(async () => (await get()) === '127.0.0.3' && source.looks > looks, {
    what: 'a look that fails',
  });
  t.equal(await get(), '127.0.0.3');
  denied = createDeniedAddresses(['127.0.0.3']);
  upstreams.renew();
  t.equal(await get(), 'upstream_denied');
});

t.test('each address of a name has its share of the connections of HTTP/2 too', async (t) => {
  const answer = (stream: ServerHttp2Stream) => {
    stream.respond();
    stream.end(stream.session!.socket.localAddress);
  };
  const first = createHttp2Server().on('stream', answer).listen(0, '127.0.0.2');
  await once(first, 'listening');
  const { port } = first.address() as AddressInfo;
  const second = createHttp2Server().on('stream', answer).listen(port, '127.0.0.3');
  await once(second, 'listening');
  const upstreams = createUpstreams({
    limits: () => upstreamLimitsOf(defaultEdgeSettings),
    denied: () => createDeniedAddresses([]),
    clientCertificate: () => null,
    onFailure() {},
    names: names(v4('127.0.0.2', '127.0.0.3')),
    health: createHealthBoard({ watch() {}, failed() {} }, []),
    secret: '',
  });
  t.teardown(async () => {
    await upstreams.close();
    first.close();
    second.close();
  });
  const group = upstreams.acquire(
    { upstreams: [{ url: `http://app.internal:${port}`, protocol: 'h2c' }] },
    '',
  );
  const from = [await ask(group), ...(await Promise.all(Array.from({ length: 9 }, () => ask(group))))];
  t.same(new Set(from), new Set(['127.0.0.2', '127.0.0.3']));
  t.equal(upstreams.figures().open, 2);
});
