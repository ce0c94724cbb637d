import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import t from 'tap';
import { connectEdgeH2 } from '../../connect-edge-h2.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
const seen: IncomingMessage[] = [];
/** Answers with the body that it received, and behind it with the trailer that it received. */
const upstream = await startUpstream(t, async (request, response) => {
  seen.push(request);
  response.writeHead(200, { trailer: 'X-Sum' });
  let body = '';
  for await (const chunk of request) body += chunk;
  response.write(`got ${body}`);
  response.addTrailers([
    ['X-Sum', request.trailers['x-sum'] ?? 'none'],
    ['X-Sum', 'twice'],
    ['Set-Cookie', 'a=b'],
  ] as never);
  response.end();
});
const edge = await startWorker(t);
await edge.applied(await edge.serve('shop', [host], [upstream.url]));

interface Exchanged {
  body: string;
  announced: string | undefined;
  trailer: Record<string, unknown>;
}

async function overHttp1(body: string, trailer: Record<string, string>): Promise<Exchanged> {
  const at = { host: '127.0.0.1', port: edge.httpsPort, servername: host, ca: edge.root };
  const sent = request({
    ...at,
    method: 'POST',
    headers: { host, te: 'trailers', 'transfer-encoding': 'chunked' },
  });
  if (body !== '') sent.write(body);
  sent.addTrailers(trailer);
  sent.end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of answer) text += chunk;
  return { body: text, announced: answer.headers.trailer, trailer: { ...answer.trailers } };
}

async function overHttp2(body: string, trailer: Record<string, string>): Promise<Exchanged> {
  const session = connectEdgeH2(edge, host);
  const stream = session.request({ ':method': 'POST', te: 'trailers' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(trailer));
  stream.end(body);
  // All of it may come in one packet.
  const trailers = once(stream, 'trailers');
  const [head] = await once(stream, 'response');
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) text += chunk;
  const [{ ...received }] = await trailers;
  session.close();
  return { body: text, announced: head.trailer, trailer: received };
}

for (const [protocol, exchange] of [
  ['HTTP/1.1', overHttp1],
  ['HTTP/2', overHttp2],
] as const) {
  t.test(`trailers pass both ways over ${protocol}, without what a trailer may not say`, async (t) => {
    for (const body of ['hello', '', 'x'.repeat(200_000)]) {
      const given = { 'x-sum': '42', 'x-forwarded-for': '192.0.2.1', authorization: 'Basic eA==' };
      const { trailer, ...rest } = await exchange(body, given);
      t.same(rest, { body: `got ${body}`, announced: 'X-Sum' });
      t.same(Object.keys(trailer), ['x-sum']);
      t.match(String(trailer['x-sum']), /^42, ?twice$/);
      t.same(Object.keys(seen.at(-1)!.trailers), ['x-sum'], 'and to the upstream');
      t.equal(seen.at(-1)!.headers.te, 'trailers');
    }
  });
}

t.test('a client of HTTP/1.0 gets the answer without', async (t) => {
  const client = connect({ host: '127.0.0.1', port: edge.httpsPort, servername: host, ca: edge.root });
  client.write(`GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
  const answer = await text(client);
  t.match(answer, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\ngot $/);
  t.notMatch(answer, /x-sum|trailer/i);
});
