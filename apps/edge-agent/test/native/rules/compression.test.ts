import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import * as zlib from 'node:zlib';
import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { compileCompression } from '../../../src/native/rules/compression.ts';
import type { RuledRequest } from '../../../src/native/rules/ruled-request.ts';
import { connectEdgeH2 } from '../../connect-edge-h2.ts';
import { type FetchOptions, openThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const page = Buffer.from('<p>the same words again and again</p>\n'.repeat(500));
const decoders = { gzip: zlib.gunzipSync, br: zlib.brotliDecompressSync, zstd: zlib.zstdDecompressSync };
const html = { 'content-type': 'text/html; charset=utf-8', etag: '"v1"', 'accept-ranges': 'bytes' };

let respond: (request: IncomingMessage, response: ServerResponse) => void = () => {};
const upstream = await startUpstream(t, (request, response) => respond(request, response));
const edge = await startWorker(t);
const host = 'shop.example.com';

async function serve(compression: unknown, more: object = {}): Promise<void> {
  await edge.applied(
    await edge.serve('shop', [host], [{ url: upstream.url }], ['/'], { compression, ...more } as object),
  );
  t.same(edge.status().refusals, []);
}

const open = (headers: Record<string, string> = {}, more: Partial<FetchOptions> = {}) =>
  openThrough({ port: edge.httpsPort, host, root: edge.root, headers, ...more });

/** What an upstream that answers so comes to; of the body the bytes as they are sent. */
async function answerTo(
  fields: object,
  body: Buffer | string,
  headers: Record<string, string>,
  more: Partial<FetchOptions> = {},
  status = 200,
) {
  respond = (_request, response) => {
    response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...fields } as never).end(body);
  };
  const answer = await open(headers, more);
  return { status: answer.statusCode, headers: answer.headers, body: await buffer(answer) };
}

t.test('an answer is compressed by what the client takes, and says so; its tag is a weak one', async (t) => {
  await serve(true);
  for (const [coding, decode] of Object.entries(decoders)) {
    const { headers, body } = await answerTo({ ...html, vary: 'Origin' }, page, {
      'accept-encoding': coding,
    });
    t.strictSame(decode(body), page, coding);
    t.ok(body.length < page.length / 10);
    t.match(headers, { 'content-encoding': coding, etag: 'W/"v1"', vary: 'Origin, accept-encoding' });
    t.notOk('content-length' in headers || 'accept-ranges' in headers);
    const head = await answerTo(html, page, { 'accept-encoding': coding }, { method: 'HEAD' });
    t.match(head.headers, { 'content-encoding': coding, etag: 'W/"v1"' }, 'HEAD has the same fields');
    t.notOk('content-length' in head.headers);
    const session = connectEdgeH2(edge, host);
    const stream = session.request({ ':path': '/', 'accept-encoding': coding });
    const [h2] = await once(stream, 'response');
    t.match(h2, { 'content-encoding': coding, etag: 'W/"v1"', vary: 'accept-encoding' }, 'over HTTP/2 too');
    t.strictSame(decode(await buffer(stream)), page);
    session.close();
  }
});

t.test('what is not to be touched passes as it is', async (t) => {
  await serve({ types: ['text/*', 'application/json'], minBytes: 1_000 });
  const takes = { 'accept-encoding': 'gzip' };
  const json = { 'content-type': 'application/json' };
  const cases: [string, object, Buffer, Record<string, string>, string | undefined, number?][] = [
    ['short', html, page.subarray(0, 999), takes, undefined],
    ['another type', { 'content-type': 'image/png' }, page, takes, undefined],
    ['no type', {}, page, takes, undefined],
    ['coded already', { ...html, 'content-encoding': 'br' }, page, takes, undefined],
    ['no-transform', { ...html, 'cache-control': 'public, no-transform' }, page, takes, undefined],
    ['a part', { ...html, 'content-range': 'bytes 0-9/10' }, page, takes, undefined, 206],
    ['an event stream', { 'content-type': 'text/event-stream' }, page, takes, undefined],
    ['the client takes none', html, page, {}, 'accept-encoding'],
    ['the client refuses it', html, page, { 'accept-encoding': 'gzip;q=0' }, 'accept-encoding'],
    [
      'the client wants no transformation',
      html,
      page,
      { ...takes, 'cache-control': 'no-transform' },
      'accept-encoding',
    ],
    ['an empty body', json, page.subarray(0, 0), takes, undefined],
  ];
  for (const [what, fields, body, headers, vary, status = 200] of cases) {
    const answer = await answerTo(fields, body, headers, {}, status);
    t.equal(answer.status, status, what);
    t.strictSame(answer.body, body, what);
    t.equal(answer.headers['content-length'], String(body.length), what);
    t.equal(
      answer.headers.vary,
      vary,
      `${what}: it says so only where another client would get another answer`,
    );
    t.equal(answer.headers.etag, (fields as typeof html).etag, what);
  }
  t.match((await answerTo({ ...json, 'content-encoding': 'identity' }, page, takes)).headers, {
    'content-encoding': 'gzip',
  });
  await serve(undefined);
  const off = await answerTo(html, page, takes);
  t.strictSame([off.body, off.headers.vary], [page, undefined], 'without compression nothing is');
});

t.test('what the edge answers itself is compressed as well, HEAD with the fields of GET', async (t) => {
  const text = page.toString();
  await serve(true, {
    upstreams: undefined,
    response: { status: 200, headers: { ETag: '"v1"' }, body: text },
  });
  for (const [coding, decode] of Object.entries(decoders)) {
    const answer = await open({ 'accept-encoding': coding });
    const body = await buffer(answer);
    t.strictSame(decode(body), page, coding);
    const fields = { 'content-encoding': coding, etag: 'W/"v1"', 'content-length': String(body.length) };
    t.match(answer.headers, fields);
    const head = await open({ 'accept-encoding': coding }, { method: 'HEAD' });
    head.resume();
    t.match(head.headers, fields);
  }
  const plain = await open();
  t.match(plain.headers, { 'content-length': String(page.length), vary: 'accept-encoding' });
  t.strictSame(await buffer(plain), page);
  await serve(true, { pages: { 503: text }, maintenance: true });
  const session = connectEdgeH2(edge, host);
  t.teardown(() => session.close());
  const stream = session.request({ ':path': '/', 'accept-encoding': 'br' });
  const [head] = await once(stream, 'response');
  t.match(head, { ':status': 503, 'content-encoding': 'br', 'retry-after': '300' });
  t.strictSame(decoders.br(await buffer(stream)), page);
  const asked = await open({ 'accept-encoding': 'br', accept: 'application/json' });
  t.notOk('content-encoding' in asked.headers, 'a problem is too short');
  asked.resume();
});

t.test('a 304 has the tag that the client got from here', async (t) => {
  await serve(true);
  const tags = async (given: string) =>
    (await answerTo({ etag: '"v1"' }, '', { 'accept-encoding': 'gzip', 'if-none-match': given }, {}, 304))
      .headers.etag;
  t.strictSame(
    [await tags('W/"v1"'), await tags('"v1"'), await tags('"v0", W/"v1"')],
    ['W/"v1"', '"v1"', 'W/"v1"'],
  );
});

t.test('rules may take Accept-Encoding from the upstream, and clients get it compressed here', async (t) => {
  await serve(true, { headers: { request: { remove: ['Accept-Encoding'] } } });
  let asked: unknown = null;
  respond = (request, response) => {
    asked = request.headers['accept-encoding'];
    response.writeHead(200, html).end(page);
  };
  const answer = await open({ 'accept-encoding': 'gzip' });
  t.strictSame([answer.headers['content-encoding'], asked], ['gzip', undefined]);
  t.strictSame(zlib.gunzipSync(await buffer(answer)), page);
});

t.test('what an upstream sends bit by bit arrives so, compressed or not', async (t) => {
  const decoding = {
    gzip: zlib.createGunzip,
    br: zlib.createBrotliDecompress,
    zstd: zlib.createZstdDecompress,
  };
  for (const [type, types, compressed] of [
    ['application/x-ndjson', undefined, true],
    ['text/event-stream', undefined, false],
    ['text/event-stream', ['text/event-stream'], true],
  ] as const) {
    await serve(types === undefined ? true : { types });
    for (const [coding, createDecoder] of Object.entries(decoding)) {
      const sending = Promise.withResolvers<ServerResponse>();
      respond = (_request, response) => sending.resolve(response.writeHead(200, { 'content-type': type }));
      const opening = open({ 'accept-encoding': coding });
      const sender = await sending.promise;
      sender.flushHeaders();
      const answer = await opening;
      t.equal(answer.headers['content-encoding'], compressed ? coding : undefined, `${type} ${coding}`);
      const decoded = compressed ? answer.pipe(createDecoder()) : answer;
      let text = '';
      decoded.on('data', (chunk) => {
        text += chunk;
      });
      for (let i = 1; i <= 3; i += 1) {
        sender.write(`data: ${i}\n\n`);
        await waitFor(() => text.endsWith(`data: ${i}\n\n`), {
          what: `${type} ${coding}: event ${i}, before the next is sent`,
        });
      }
      sender.end();
      await once(decoded, 'end');
      t.equal(text, 'data: 1\n\ndata: 2\n\ndata: 3\n\n');
    }
  }
});

t.test('a client that does not read holds the upstream up, and memory does not grow', async (t) => {
  await serve({ types: ['application/octet-stream'] });
  const total = 32 * 1_048_576;
  const block = randomBytes(65_536);
  let sent = 0;
  respond = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    const send = (): void => {
      while (sent < total) {
        sent += block.length;
        if (!response.write(block)) {
          response.once('drain', send);
          return;
        }
      }
      response.end();
    };
    send();
  };
  const answer = await open({ 'accept-encoding': 'gzip' });
  t.equal(answer.headers['content-encoding'], 'gzip');
  let before = -1;
  let same = 0;
  await waitFor(
    () => {
      same = sent === before ? same + 1 : 0;
      before = sent;
      return same >= 20;
    },
    { what: 'the upstream to stand still' },
  );
  t.ok(sent < total / 2, `${sent} bytes were sent with nobody reading`);
  let received = 0;
  for await (const chunk of answer.pipe(zlib.createGunzip())) received += chunk.length;
  t.equal(received, total);
});

t.test(
  'a client that goes ends the upstream’s answer, and an upstream that breaks off is seen to',
  async (t) => {
    await serve(true);
    for (const end of ['client', 'upstream'] as const) {
      const sending = Promise.withResolvers<ServerResponse>();
      respond = (_request, response) =>
        sending.resolve(response.writeHead(200, { 'content-type': 'text/html' }));
      const opening = open({ 'accept-encoding': 'br' });
      const sender = await sending.promise;
      sender.write(page);
      const answer = await opening;
      t.equal(answer.headers['content-encoding'], 'br');
      if (end === 'client') {
        answer.destroy();
        await once(sender, 'close');
        t.notOk(sender.writableFinished);
      } else {
        sender.destroy();
        await t.rejects(buffer(answer), 'never as a regular end');
      }
    }
  },
);

t.test('compressors are given back, and there are never more than so many', async (t) => {
  const compressing = { open: 0 };
  const rule = compileCompression({ compression: true } as Parameters<typeof compileCompression>[0], 'shop', {
    compressing,
  })!;
  const begin = () => {
    const head = { statusCode: 200, fields: ['content-type', 'text/html'], hasLength: false };
    return rule.through(head, { method: 'GET' } as RuledRequest, { 'accept-encoding': 'gzip' });
  };
  const streams = Array.from({ length: 513 }, begin);
  t.strictSame([compressing.open, streams.at(-1)], [512, null]);
  const closed = streams.map((stream) => (stream === null ? null : once(stream, 'close')));
  for (const stream of streams) stream?.destroy();
  await Promise.all(closed);
  t.equal(compressing.open, 0);
});

t.test('an answer that no client may get takes no compressor away from others', async (t) => {
  await serve(true);
  const session = connectEdgeH2(edge, host);
  t.teardown(() => session.close());
  const ask = async () => {
    const stream = session.request({ ':path': '/', 'accept-encoding': 'gzip' });
    const [head] = await once(stream, 'response');
    stream.resume();
    await once(stream, 'close');
    return head;
  };
  respond = (_request, response) => response.writeHead(700, html).end(page);
  for (let i = 0; i < 520; i += 1) {
    const { ':status': status } = await ask();
    if (status !== 502) t.equal(status, 502);
  }
  respond = (_request, response) => response.writeHead(200, html).end(page);
  t.match(await ask(), { ':status': 200, 'content-encoding': 'gzip' });
});
