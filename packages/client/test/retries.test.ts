import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { createClient, LockstepError } from '../src/index.ts';

/** Stands for a control plane, since a real one does not fail when it is asked to. Answers each request by the next of the list, the last one again. */
async function listen(t: Test, ...answers: ((request: IncomingMessage, response: ServerResponse) => void)[]) {
  const seen: { method: string; url: string; key: string | null; body: string }[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const key = request.headers['idempotency-key'];
    seen.push({ method: request.method!, url: request.url!, key: (key as string) ?? null, body });
    (answers.length > 1 ? answers.shift() : answers[0])?.(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { seen, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}) =>
  (_: IncomingMessage, response: ServerResponse) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
const problem = (status: number, code: string, headers = {}) =>
  json(
    status,
    {
      type: 'x',
      title: 'x',
      status,
      detail: 'what is wrong',
      code,
      errors: [{ pointer: '/hosts', detail: 'y' }],
    },
    headers,
  );
const body = { hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };

t.test('a create that gets no answer, or one that passes, is sent again under the same key', async (t) => {
  const { url, seen } = await listen(
    t,
    (request) => request.socket.destroy(),
    problem(503, 'overloaded', { 'retry-after': '0' }),
    json(201, { id: 'rt_1' }),
  );
  const route = await createClient({ url, token: 'x' }).routes.create(body);
  t.equal(route.id, 'rt_1');
  t.equal(seen.length, 3);
  t.ok(seen[0]?.key);
  t.equal(new Set(seen.map(({ key }) => key)).size, 1);
  t.strictSame(new Set(seen.map(({ body }) => body)), new Set([JSON.stringify(body)]));
});

t.test('a key of the caller’s own is kept to', async (t) => {
  const { url, seen } = await listen(t, json(201, { id: 'rt_1' }));
  await createClient({ url, token: 'x' }).routes.create(body, { idempotencyKey: 'order-17' });
  t.match(seen, [{ key: 'order-17' }]);
});

t.test('what the API refuses is not sent again, and says what is wrong', async (t) => {
  const { url, seen } = await listen(t, problem(400, 'invalid_request', { 'x-request-id': 'r1' }));
  const error = await createClient({ url, token: 'x' })
    .routes.create(body)
    .catch((error: unknown) => error);
  t.ok(error instanceof LockstepError);
  t.match(error, {
    status: 400,
    code: 'invalid_request',
    message: 'what is wrong',
    requestId: 'r1',
    errors: [{ pointer: '/hosts' }],
  });
  t.equal(seen.length, 1);
});

t.test('the last answer is given when tries run out', async (t) => {
  const { url, seen } = await listen(t, problem(503, 'store_unavailable'));
  await t.rejects(createClient({ url, token: 'x', retries: 1 }).routes.get('a'), {
    status: 503,
    code: 'store_unavailable',
  });
  t.equal(seen.length, 2);
});

t.test('a signal ends the tries', async (t) => {
  const stop = new AbortController();
  const { url } = await listen(t, () => stop.abort(new Error('enough')));
  await t.rejects(createClient({ url, token: 'x' }).routes.get('a', { signal: stop.signal }), {
    message: 'enough',
  });
});

t.test('lists are read page by page, as they are come to', async (t) => {
  const { url, seen } = await listen(
    t,
    json(200, { items: [{ id: 'a' }, { id: 'b' }], next: 'b' }),
    json(200, { items: [{ id: 'c' }], next: null }),
  );
  const ids: string[] = [];
  for await (const { id } of createClient({ url, token: 'x' }).routes.list({ host: 'h.example' }))
    ids.push(id);
  t.strictSame(ids, ['a', 'b', 'c']);
  t.strictSame(
    seen.map(({ url }) => url),
    ['/v1/routes?host=h.example', '/v1/routes?host=h.example&cursor=b'],
  );
});

t.test('a delete whose answer was lost is done, not missing; what was never there is missing', async (t) => {
  const lost = await listen(t, (request) => request.socket.destroy(), problem(404, 'not_found'));
  await createClient({ url: lost.url, token: 'x' }).routes.delete('a');
  t.equal(lost.seen.length, 2);
  const { url } = await listen(t, problem(404, 'not_found'));
  await t.rejects(createClient({ url, token: 'x' }).routes.delete('a'), { code: 'not_found' });
});

t.test('an address or a token that is missing is told of before anything is asked', (t) => {
  const missing = undefined as unknown as string;
  for (const url of [missing, '', '127.0.0.1:7400', 'localhost:7400', 'http://'])
    t.throws(() => createClient({ url, token: 'x' }), { name: 'TypeError', message: /url is .*such as/ });
  for (const token of [missing, '', ' '])
    t.throws(() => createClient({ url: 'http://127.0.0.1:7400', token }), /token is missing/);
  t.end();
});
