import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { type BulkLine, idleOrder, orderLanes } from '@lockstep/contract';
import { testFolder, waitFor } from '@lockstep/testkit';
import { fastify } from 'fastify';
import t, { type Test } from 'tap';
import { boundBodies } from '../../src/api/bound-bodies.ts';
import { putOrder } from '../../src/orders/order-record.ts';
import { adminToken, startControlPlane } from '../start-control-plane.ts';

const upstreams = [{ url: 'http://127.0.0.1:3000' }];
const routeOf = (index: number) => ({ id: `r${index}`, hosts: [`h${index}.example.com`], upstreams });
const statuses = (answers: BulkLine[]) => answers.map(({ status }) => status);
const changes = (answers: BulkLine[]) => answers.map(({ status, changed }) => [status, changed]);

async function start(t: Test) {
  const plane = await startControlPlane(t, testFolder(t));
  async function bulk(lines: (object | string)[], query = '', address = 'bulk') {
    const body = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');
    const response = await fetch(`${plane.url}/v1/routes/${address}${query}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/x-ndjson' },
      body,
    });
    const text = await response.text();
    const parts = response.ok ? text.split('\n').filter(Boolean) : [];
    const answers = parts.map((line) => JSON.parse(line) as BulkLine);
    return { status: response.status, text, answers, type: response.headers.get('content-type') };
  }
  return { ...plane, bulk };
}

t.test('each line is made as a PUT would, and answered in order; what is as it was stays', async (t) => {
  const { bulk, call, store } = await start(t);
  await call('PUT', '/v1/routes/mine', { body: { hosts: ['taken.example.com'], upstreams } });
  const first = await bulk([
    routeOf(1),
    { ...routeOf(2), hosts: ['taken.example.com'] },
    '{"id": "broken"',
    '',
    { hosts: ['x.example.com'], upstreams },
    { ...routeOf(3), colour: 'red' },
    routeOf(4),
    { ...routeOf(1), methods: ['GET'] },
    { ...routeOf(5), hosts: ['h4.example.com'] },
    { ...routeOf(6), hosts: ['com'] },
  ]);
  t.equal(first.type, 'application/x-ndjson');
  t.same(
    first.answers.map(({ line, id, status }) => [line, id, status]),
    [
      [1, 'r1', 201],
      [2, 'r2', 409],
      [3, null, 400],
      [5, null, 400],
      [6, 'r3', 400],
      [7, 'r4', 201],
      [8, 'r1', 200],
      [9, 'r5', 409],
      [10, 'r6', 400],
    ],
  );
  t.match(first.answers[1], { error: { code: 'host_taken', route: 'mine' } });
  t.match(first.answers[4], { error: { errors: [{ pointer: '/colour' }] } });
  t.match((await call('GET', '/v1/routes/r1')).body, { methods: ['GET'] });
  const { number } = await store.head();
  const again = await bulk([{ ...routeOf(1), methods: ['GET'] }, routeOf(4)]);
  t.same(changes(again.answers), [
    [200, false],
    [200, false],
  ]);
  t.equal((await store.head()).number, number, 'nothing travels');
  t.match(await bulk([]), { status: 200, text: '' }, 'of no line nothing comes');
});

t.test('many lines are one commit, and their hosts come after all others', async (t) => {
  const { bulk, call, store } = await start(t);
  const { number } = await store.head();
  const { answers } = await bulk(Array.from({ length: 300 }, (_, index) => routeOf(index)));
  t.same(new Set(statuses(answers)), new Set([201]));
  t.equal(answers.length, 300);
  t.equal(await store.count('route'), 300);
  t.ok((await store.head()).number - number < 100);
  for (const host of ['late.example.net', 'later.example.com'])
    await call('POST', '/v1/routes', { body: { hosts: [host], upstreams } });
  const due = await store.listDue('order', Number.MAX_SAFE_INTEGER, 2, orderLanes.first);
  t.same(new Set(due.map(({ id }) => id)), new Set(['late.example.net', 'later.example.com']));

  const lines = [{ id: 'r0' }, { id: 'none' }, { id: 'r1', x: 1 }, { id: 'r2' }];
  t.same(statuses((await bulk(lines, '', 'bulk-delete')).answers), [204, 404, 400, 204]);
  t.same((await bulk([{ id: 'r0' }], '?missing=ok', 'bulk-delete')).answers, [
    { line: 1, id: 'r0', status: 204, changed: false },
  ]);
  t.equal(await store.count('route'), 300);
  t.ok((await store.get('order', 'h0.example.com'))?.value.unusedSince, 'its certificate has its grace time');
});

t.test('a dry run says what would come of each line, and makes nothing', async (t) => {
  const { bulk, call, store } = await start(t);
  await call('PUT', '/v1/routes/r1', { body: routeOf(1) });
  const { number } = await store.head();
  const taken = { ...routeOf(3), hosts: ['h1.example.com'] };
  const lines = [routeOf(1), { ...routeOf(1), paths: ['/a'] }, routeOf(2), taken];
  t.same(changes((await bulk(lines, '?dry-run=true')).answers), [
    [200, false],
    [200, true],
    [201, true],
    [409, false],
  ]);
  const gone = await bulk([{ id: 'r1' }, { id: 'r2' }], '?dry-run=true', 'bulk-delete');
  t.same(statuses(gone.answers), [204, 404]);
  t.equal((await store.head()).number, number);
});

t.test('lines are answered while others are still to come', async (t) => {
  const { url } = await start(t);
  let more = () => {};
  const answered = new Promise<void>((resolve) => {
    more = resolve;
  });
  async function* lines() {
    yield `${JSON.stringify(routeOf(1))}\n`;
    await answered;
    yield JSON.stringify(routeOf(2));
  }
  const response = await fetch(`${url}/v1/routes/bulk`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/x-ndjson' },
    body: Readable.toWeb(Readable.from(lines())),
    duplex: 'half',
  } as RequestInit);
  const seen: string[] = [];
  for await (const chunk of response.body!) {
    seen.push(Buffer.from(chunk).toString());
    more();
  }
  t.equal(seen.length, 2);
  t.match(JSON.parse(seen[1]!), { line: 2, id: 'r2', status: 201 });
});

t.test('a host whose certificate is there waits for its renewal, and for nothing else', async (t) => {
  const { bulk, store } = await start(t);
  const at = new Date().toISOString();
  const renewAt = new Date(Date.now() + 9e8).toISOString();
  const ready = { ...idleOrder('h1.example.com', at, renewAt), renewAt };
  const asked = { ...idleOrder('h2.example.com', at, renewAt), renewAt, ari: { window: null, checkAt: at } };
  const watched = {
    ...idleOrder('h3.example.com', at, renewAt),
    renewAt,
    persist: { lookAt: at, told: null },
  };
  await store.commit({
    id: 'moved-over',
    changes: [ready, asked, watched].map((order) => putOrder(order.host, { ...order, unusedSince: at })),
  });
  t.same(statuses((await bulk([routeOf(1), routeOf(2), routeOf(3)])).answers), [201, 201, 201]);
  t.match((await store.get('order', 'h1.example.com'))?.value, { unusedSince: null, dueAt: renewAt });
  t.match((await store.get('order', 'h2.example.com'))?.value, { unusedSince: null, dueAt: at });
  t.match((await store.get('order', 'h3.example.com'))?.value, { unusedSince: null, dueAt: at });
});

t.test('what a route was written with elsewhere is deleted with it', async (t) => {
  const { bulk, store } = await start(t);
  await bulk([routeOf(1), routeOf(2)]);
  const value = { sealedBody: 'x', bodyOf: 1 } as never;
  await store.commit({ id: 'caddy', changes: [{ op: 'put', kind: 'caddy-route', id: 'r1', value }] });
  t.same(statuses((await bulk([{ id: 'r1' }, { id: 'r2' }], '', 'bulk-delete')).answers), [204, 204]);
  t.equal(await store.count('caddy-route'), 0);
});

t.test('whoever goes away midway leaves whole lines behind, and everybody else is served', async (t) => {
  const { url, call, store } = await start(t);
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(
    `POST /v1/routes/bulk HTTP/1.1\r\nhost: ${hostname}\r\nauthorization: Bearer ${adminToken}\r\n` +
      'content-type: application/x-ndjson\r\ncontent-length: 999999\r\n\r\n',
  );
  for (let index = 0; index < 50; index += 1) socket.write(`${JSON.stringify(routeOf(index))}\n`);
  socket.write('{"id":"half","ho');
  await once(socket, 'data');
  socket.destroy();
  const made = await store.count('route');
  t.ok(made > 0);
  t.equal(
    (await call('PUT', '/v1/routes/after', { body: { hosts: ['after.example.com'], upstreams } })).status,
    201,
  );
  t.equal(await store.get('route', 'half'), null);
});

t.test('a line that is too long is refused alone, and so is another type of body', async (t) => {
  const { bulk, call, url } = await start(t);
  const long = { ...routeOf(1), metadata: { a: 'b'.repeat(1_100_000) } };
  t.same(statuses((await bulk([long, routeOf(2)])).answers), [400, 201]);
  const json = await call('POST', '/v1/routes/bulk', { body: routeOf(1) });
  t.match(json, { status: 415, body: { code: 'unsupported_media_type' } });
  t.equal((await bulk([routeOf(1)], '?dry=1')).status, 400);
  const packed = await fetch(`${url}/v1/routes/bulk`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${adminToken}`,
      'content-type': 'application/x-ndjson',
      'content-encoding': 'gzip',
    },
    body: gzipSync(JSON.stringify(routeOf(9))),
  });
  t.equal(packed.status, 415);
  t.match(await packed.json(), { code: 'unsupported_media_type' });
});

t.test('a body that does not arrive in time is answered so', async (t) => {
  const app = fastify();
  boundBodies(app as never, 50);
  app.setErrorHandler((error, _request, reply) => reply.code(408).send(error));
  app.post('/', async () => 'taken');
  const address = await app.listen({ port: 0, host: '127.0.0.1' });
  t.teardown(() => app.close());
  const socket = connect(Number(new URL(address).port), '127.0.0.1');
  socket.write(
    'POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"a"',
  );
  let text = '';
  socket.on('data', (data) => {
    text += data;
  });
  await once(socket, 'close');
  t.match(text, /^HTTP\/1.1 408 .*request_timeout/s);
});

t.test('a body that is refused before its end leaves no timer behind', async (t) => {
  const timers = () => process.getActiveResourcesInfo().filter((type) => type === 'Timeout').length;
  const before = timers();
  const app = fastify({ bodyLimit: 10 });
  boundBodies(app as never, 30_000);
  app.post('/', async () => 'taken');
  const address = await app.listen({ port: 0, host: '127.0.0.1' });
  const socket = connect(Number(new URL(address).port), '127.0.0.1');
  socket.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: 99\r\n\r\nabc');
  const [answer] = await once(socket, 'data');
  t.match(String(answer), /^HTTP\/1.1 413 /);
  socket.destroy();
  await app.close();
  await waitFor(() => timers() <= before, { what: 'the timer to go', timeoutMs: 5_000 });
});
