import { once } from 'node:events';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { StoredEvent } from '@lockstep/contract';
import t, { type Test } from 'tap';
import { streamEvents } from '../../src/events/event-stream.ts';
import { adminToken, startControlPlane } from '../start-control-plane.ts';
import { followEvents } from './follow-events.ts';

const body = { hosts: ['a.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };

/** A history of so many events, and how often it was read. */
function historyOf(count: number) {
  const events = Array.from(
    { length: count },
    (_, index): StoredEvent => ({
      id: String(index + 1).padStart(6, '0'),
      at: 0,
      type: 'route.live',
      subject: { kind: 'route', id: `r${index}` },
      data: { hosts: ['x'.repeat(1_000)] },
    }),
  );
  const listeners = new Set<() => void>();
  let reads = 0;
  return {
    reads: () => reads,
    listeners,
    history: {
      async read({ after = null, limit }: { after?: string | null; limit: number }) {
        reads += 1;
        const at = events.findLastIndex(({ id }) => id === after) + 1;
        const items = limit === 0 ? [] : events.slice(at, at + limit);
        const last = events.at(-1)?.id ?? '';
        const next = items.at(-1)?.id ?? after ?? last;
        return { items, gap: false, next, more: next !== last, last };
      },
      readKept: () => Promise.reject(new Error('is for lists')),
      watch(listener: () => void) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      close() {},
    },
  };
}

const stream = (test: Test, more: Partial<Parameters<typeof streamEvents>[0]>) => {
  const stop = new AbortController();
  test.teardown(() => stop.abort());
  const options = { after: '', matches: () => true, may: async () => true, signal: stop.signal };
  return { stop, ended: streamEvents({ ...options, ...more } as Parameters<typeof streamEvents>[0]) };
};

t.test('a reader that takes nothing is cut, and little is held for it until then', async (t) => {
  const { history, reads, listeners } = historyOf(5_000);
  let most = 0;
  // It takes the first piece, and is done with it never.
  const stuck = new Writable({ highWaterMark: 16_384, write() {} });
  const write = stuck.write.bind(stuck) as (chunk: string) => boolean;
  stuck.write = ((chunk: string) => {
    const taken = write(chunk);
    most = Math.max(most, stuck.writableLength);
    return taken;
  }) as typeof stuck.write;
  const { ended } = stream(t, { history, to: stuck, slowMs: 50 });
  await t.rejects(ended, { message: /too slow/ });
  t.ok(most < 50_000, `${most} bytes were held`);
  t.ok(reads() <= 3, 'what it cannot be sent is not read');
  t.equal(listeners.size, 0);
});

t.test('a reader whom nothing concerns is told the place where it would go on', async (t) => {
  const { history } = historyOf(1_000);
  const seen: string[] = [];
  const beat = Promise.withResolvers<void>();
  const to = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      seen.push(chunk);
      if (chunk.includes('heartbeat')) beat.resolve();
      done();
    },
  });
  stream(t, { history, to, matches: () => false, heartbeatMs: 20 });
  await beat.promise;
  t.same(seen.slice(0, 2), ['retry: 2000\nid: beginning\n\n', ': heartbeat\nid: 001000\n\n']);
});

t.test('nothing is sent to a token that is revoked, or has expired, and its stream ends', async (t) => {
  const { call, url } = await startControlPlane(t, t.testdir());
  const open = async (more = {}) => {
    const token = { name: 'reader', scopes: ['events:read'], ...more };
    const made = (await call('POST', '/v1/tokens', { body: token })).body as { id: string; token: string };
    const stream = await fetch(`${url}/v1/events`, { headers: { authorization: `Bearer ${made.token}` } });
    return { id: made.id, stream };
  };
  const revoked = await open();
  let lifetimeMs = 1_000;
  let soon: string;
  let expiring: Awaited<ReturnType<typeof open>>;
  do {
    // On a busy machine one can be over before its stream is open.
    lifetimeMs *= 2;
    soon = new Date(Date.now() + lifetimeMs).toISOString();
    expiring = await open({ expiresAt: soon });
  } while (expiring.stream.status === 401);
  const streams = [revoked.stream, expiring.stream];
  t.same(
    streams.map(({ status }) => status),
    [200, 200],
  );
  const texts = streams.map(({ body }) => text(body!));
  await call('DELETE', `/v1/tokens/${revoked.id}`);
  while (Date.now() <= Date.parse(soon))
    await once(AbortSignal.timeout(Date.parse(soon) - Date.now() + 1), 'abort');
  await call('PUT', '/v1/routes/a', { body });
  for (const sent of await Promise.all(texts)) t.notMatch(sent, /event:/);
});

t.test('where a stream goes on is checked, and HEAD opens none', async (t) => {
  const { call, url } = await startControlPlane(t, t.testdir());
  await call('PUT', '/v1/routes/a', { body });
  const odd = await call('GET', '/v1/events', { headers: { 'last-event-id': 'yesterday' } });
  t.match(odd, { status: 400, body: { errors: [{ pointer: 'Last-Event-ID' }] } });
  const head = await call('HEAD', '/v1/events');
  t.match([head.status, head.headers.get('content-type'), head.text], [200, /^text\/event-stream/, '']);
  const { last } = (await call('GET', '/v1/events?limit=1')).body;
  // Of a history that has not come so far, and of one that began before its first event.
  for (const number of ['999999999999999', '000000000000000']) {
    const since = `${number}-0000-${last.slice(-8)}`;
    const behind = followEvents(t, url, adminToken, { path: `/v1/events?since=${since}` });
    await behind.opened;
    while (behind.gaps.length === 0) await behind.next();
    t.match(behind.gaps, [{ since }]);
    await behind.close();
  }
});
