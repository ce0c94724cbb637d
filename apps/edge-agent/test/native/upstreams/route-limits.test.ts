import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { request } from 'node:https';
import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { type FetchOptions, fetchThrough, fetchThroughH2, openThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
const held: ServerResponse[] = [];
const seen: IncomingMessage[] = [];
const upstream = await startUpstream(t, (request, response) => {
  seen.push(request);
  if (request.url === '/held') held.push(response);
  else if (request.url === '/half') response.write('half');
  else {
    request.resume();
    request.on('end', () => response.end(request.headers.host));
  }
});
const { port } = new URL(upstream.url);
const edge = await startWorker(t);
const at = (path: string, more: Partial<FetchOptions> = {}): FetchOptions => ({
  port: edge.httpsPort,
  host,
  root: edge.root,
  path,
  ...more,
});

async function serve(
  more: Parameters<typeof edge.serve>[4],
  to: Parameters<typeof edge.serve>[2] = [upstream.url],
) {
  await edge.applied(await edge.serve('shop', [host], to, ['/'], more));
}

const codeOf = ({ body }: { body: string }) => JSON.parse(body).code;
const failures = () => edge.worker.figures().failures;

t.test('a route waits for its upstream as long as it says itself', async (t) => {
  await serve({ timeouts: { firstByteMs: 50 } });
  const late = await fetchThrough(at('/held'));
  t.match([late.status, codeOf(late)], [504, 'upstream_timeout']);
  t.equal(failures().upstream_timeout_first_byte, 1);

  await serve({ timeouts: { idleMs: 50 } });
  const half = await openThrough(at('/half'));
  await t.rejects(
    once(half.resume(), 'end').then(() => half.complete || Promise.reject(new Error('broke off'))),
  );
  t.equal(failures().upstream_timeout_body, 1);

  await serve({ timeouts: { totalMs: 50 } });
  for (const fetch of [fetchThrough, fetchThroughH2]) {
    const never = await fetch(at('/held'));
    t.match([never.status, codeOf(never)], [504, 'upstream_timeout']);
  }
  t.equal(failures().upstream_timeout_total, 2);
  t.equal((await fetchThrough(at('/'))).status, 200);
});

t.test('a total time ends an answer that has begun, in the middle', async (t) => {
  await serve({ timeouts: { totalMs: 100 } });
  const half = await openThrough(at('/half'));
  half.on('error', () => {}).resume();
  await new Promise((resolve) => half.once('close', resolve));
  t.notOk(half.complete);
});

t.test('a body over the limit of its route is answered 413, whether it was announced or not', async (t) => {
  await serve({ limits: { bodyBytes: 10 } });
  for (const fetch of [fetchThrough, fetchThroughH2]) {
    t.equal((await fetch(at('/', { method: 'POST', body: '0123456789' }))).status, 200);
    const before = seen.length;
    const headers = { 'content-length': '11' };
    const large = await fetch(at('/', { method: 'POST', body: '0123456789a', headers }));
    t.match([large.status, codeOf(large)], [413, 'payload_too_large']);
    t.equal(seen.length, before, 'the upstream hears nothing of it');
  }
  const chunked = request({
    ...at('/'),
    servername: host,
    ca: edge.root,
    host: '127.0.0.1',
    method: 'POST',
    headers: { host },
  });
  chunked.write('01234');
  chunked.end('56789a');
  const [answer] = (await once(chunked, 'response')) as [IncomingMessage];
  t.equal(answer.statusCode, 413);
  answer.resume();
  t.equal(failures().client_body_too_large, 1);
});

t.test(
  'a route has no more connections and no longer line than it says, and takes none from others',
  async (t) => {
    held.length = 0;
    await edge.applied(await edge.serve('other', ['other.example.com'], [upstream.url]));
    await serve({ limits: { connections: 1, pending: 1, pendingMs: 60_000 } });
    const first = fetchThrough(at('/held'));
    await waitFor(async () => held.length === 1, { what: 'the first to reach the upstream' });
    const second = fetchThrough(at('/'));
    await waitFor(async () => edge.worker.figures().upstreams.pending === 1, { what: 'the second to wait' });
    const third = await fetchThrough(at('/'));
    t.match([third.status, codeOf(third)], [503, 'upstream_busy']);
    t.match(third.headers['retry-after'], /^\d+$/);
    t.equal((await fetchThrough({ ...at('/'), host: 'other.example.com' })).status, 200);
    held[0]!.end();
    t.same([(await first).status, (await second).status], [200, 200]);

    await serve({ limits: { connections: 1, pendingMs: 50 } });
    held.length = 0;
    const holds = fetchThrough(at('/held'));
    await waitFor(async () => held.length === 1, { what: 'one to reach the upstream' });
    t.equal((await fetchThrough(at('/'))).status, 503, 'after a bounded wait');
    held[0]!.end();
    t.equal((await holds).status, 200);
  },
);

t.test('an upstream receives the Host that its route says', async (t) => {
  const hosts: string[] = [];
  for (const given of ['keep', 'upstream', 'inner.example:81'] as const) {
    await serve({}, [{ url: upstream.url, host: given }]);
    hosts.push((await fetchThrough(at('/'))).body);
    t.equal(seen.at(-1)?.headers['x-forwarded-host'], host);
  }
  t.same(hosts, [host, `127.0.0.1:${port}`, 'inner.example:81']);
});

t.test(
  'each of two upstreams receives its own Host, also where the first could not be reached',
  async (t) => {
    await serve({}, [
      { url: 'http://127.0.0.1:1', host: 'one.example' },
      { url: upstream.url, host: 'two.example' },
      { url: upstream.url },
    ]);
    const hosts = new Set<string>();
    for (let i = 0; i < 3; i += 1) hosts.add((await fetchThrough(at('/'))).body);
    t.same([...hosts].sort(), [host, 'two.example']);
  },
);
