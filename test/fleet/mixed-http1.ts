import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type Agent, type RequestOptions, request } from 'node:https';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { bodyAt } from './mixed-upstream.ts';

export interface To {
  port: number;
  host: string;
  ca: string;
}
export type Kept = To & { agent: Agent };

/** Long-lived exchanges end by themselves before an edge that drains would end them. */
const streamMs = 1_500;

export function largePath(): string {
  return `/large?${randomUUID()}`;
}

function requestTo({ port, host, ca, agent }: Kept, path: string, more: RequestOptions = {}) {
  const headers = { host, ...(more.headers as object) };
  return request({ host: '127.0.0.1', port, servername: host, ca, path, agent, ...more, headers });
}

export async function get(to: Kept, path: string): Promise<void> {
  const sent = requestTo(to, path).end();
  const [response] = await once(sent, 'response');
  expectStatus(response.statusCode);
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  expectBody(path, Buffer.concat(chunks));
}

export async function upload(to: Kept): Promise<void> {
  const body = randomBytes(300_000);
  const sent = requestTo(to, '/digest', { method: 'POST' });
  sent.write(body.subarray(0, 100_000));
  sent.end(body.subarray(100_000));
  const [response] = await once(sent, 'response');
  expectStatus(response.statusCode);
  expectDigest(await textOf(response), body);
}

/** An event stream has to come as it is sent, not when it ends. */
export async function readEvents(to: Kept): Promise<void> {
  const sent = requestTo(to, '/events').end();
  const [response] = await once(sent, 'response');
  expectStatus(response.statusCode);
  const begunAt = performance.now();
  let firstAt = 0;
  let text = '';
  for await (const chunk of response) {
    if (firstAt === 0) firstAt = performance.now();
    text += chunk;
  }
  if (!text.endsWith('data: last\n\n'))
    throw new Error(`the stream ended with ${JSON.stringify(text.slice(-20))}`);
  if (firstAt - begunAt > streamMs / 2 && performance.now() - firstAt < 50)
    throw new Error('events came all at once');
}

export async function talk(to: Kept, method: string, protocol: string): Promise<void> {
  const headers = {
    connection: 'Upgrade',
    upgrade: protocol,
    ...(method === 'POST' && { 'content-length': 0 }),
    ...(protocol === 'websocket' && {
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-version': '13',
    }),
  };
  const sent = requestTo(to, '/echo', { method, headers }).end();
  const [head, socket] = await Promise.race([
    once(sent, 'upgrade'),
    once(sent, 'response').then(([response]) => {
      throw new Error(`status ${response.statusCode}`);
    }),
  ]);
  if (head.headers.upgrade !== protocol) throw new Error(`switched to ${head.headers.upgrade}`);
  await hearEchoes(socket);
}

export async function hearEchoes(tunnel: Duplex): Promise<void> {
  const closed = once(tunnel, 'close').then(() => {
    throw new Error('the tunnel ended early');
  });
  closed.catch(() => {});
  try {
    for (let turn = 0; turn < 10; turn += 1) {
      const said = randomBytes(2_000);
      tunnel.write(said);
      let heard = Buffer.alloc(0);
      while (heard.length < said.length) {
        const [chunk] = await Promise.race([once(tunnel, 'data'), closed]);
        heard = Buffer.concat([heard, chunk]);
      }
      if (!heard.equals(said)) throw new Error('the echo is of something else');
      await delay(streamMs / 10);
    }
  } finally {
    tunnel.destroy();
  }
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

export function expectStatus(status: number): void {
  if (status !== 200) throw new Error(`status ${status}`);
}

export function expectBody(path: string, body: Buffer): void {
  const expected = bodyAt(path);
  if (body.length !== expected.length) throw new Error(`${body.length} of ${expected.length} bytes`);
  if (!body.equals(expected)) throw new Error('the body is of something else');
}

export function expectDigest(text: string, body: Buffer): void {
  const digest = createHash('sha256').update(body).digest('hex');
  if (text !== digest) throw new Error('the upstream received something else');
}
