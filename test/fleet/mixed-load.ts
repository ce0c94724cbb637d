import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { Agent, type RequestOptions, request } from 'node:https';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { bodyAt } from './mixed-upstream.ts';

/** Requests of every sort, each sort at a pace of its own, until it is stopped. */
export interface MixedLoad {
  /** By sort, how many were answered as they had to be. */
  readonly answered: Record<string, number>;
  /** What was not. */
  readonly failures: string[];
  stop(): Promise<void>;
}

export interface MixedLoadOptions {
  /** Edges' https ports; each sort of client goes to each. */
  ports: readonly number[];
  host: string;
  ca: string;
  /** Only GETs, which may be repeated. */
  onlyGets?: boolean;
}

const pauseMs = 15;
/** Long-lived exchanges end by themselves before an edge that drains would end them. */
const streamMs = 1_500;

/** Its upstream is one of `startMixedUpstream`. */
export function startMixedLoad({ ports, host, ca, onlyGets = false }: MixedLoadOptions): MixedLoad {
  const answered: Record<string, number> = {};
  const failures: string[] = [];
  const stopped = new AbortController();
  const closers: (() => void)[] = [];

  async function client(sort: string, port: number, once: () => Promise<void>): Promise<void> {
    while (!stopped.signal.aborted) {
      const begunAt = new Date().toISOString();
      try {
        await once();
        answered[sort] = (answered[sort] ?? 0) + 1;
      } catch (error) {
        failures.push(`${begunAt} ${sort} at ${port}: ${describe(error)}`);
      }
      await delay(pauseMs);
    }
  }

  const clients = ports.flatMap((port) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    const to = { port, host, ca };
    const kept = { ...to, agent };
    const sessions = createSessions(to);
    closers.push(() => {
      agent.destroy();
      sessions.close();
    });
    const gets = [
      client('h1', port, () => get(kept, '/small')),
      client('h1 large', port, () => get(kept, `/large?${randomUUID()}`)),
      client('h1 new connection', port, () => get({ ...to, agent: new Agent() }, '/small')),
      client('h2', port, () => getOverHttp2(sessions, '/small')),
      client('h2 large', port, () => getOverHttp2(sessions, `/large?${randomUUID()}`)),
    ];
    if (onlyGets) return gets;
    return [
      ...gets,
      client('h1 upload', port, () => upload(kept)),
      client('h2 upload', port, () => uploadOverHttp2(sessions)),
      client('events', port, () => readEvents({ ...to, agent: new Agent() })),
      client('websocket', port, () => talk({ ...to, agent: new Agent() })),
    ];
  });

  return {
    answered,
    failures,
    async stop() {
      stopped.abort();
      await Promise.all(clients);
      for (const close of closers) close();
    },
  };
}

interface To {
  port: number;
  host: string;
  ca: string;
}
type Kept = To & { agent: Agent };

function requestTo({ port, host, ca, agent }: Kept, path: string, more: RequestOptions = {}) {
  return request({ host: '127.0.0.1', port, servername: host, ca, path, agent, headers: { host }, ...more });
}

async function get(to: Kept, path: string): Promise<void> {
  const sent = requestTo(to, path).end();
  const [response] = await once(sent, 'response');
  expectStatus(response.statusCode);
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  expectBody(path, Buffer.concat(chunks));
}

function expectBody(path: string, body: Buffer): void {
  const expected = bodyAt(path);
  if (body.length !== expected.length) throw new Error(`${body.length} of ${expected.length} bytes`);
  if (!body.equals(expected)) throw new Error('the body is of something else');
}

async function upload(to: Kept): Promise<void> {
  const body = randomBytes(300_000);
  const sent = requestTo(to, '/digest', { method: 'POST' });
  sent.write(body.subarray(0, 100_000));
  sent.end(body.subarray(100_000));
  const [response] = await once(sent, 'response');
  expectStatus(response.statusCode);
  expectDigest(await textOf(response), body);
}

interface Sessions {
  readonly host: string;
  get(): ClientHttp2Session;
  close(): void;
}

/** One session at a time; a next one where the edge said that the last takes no more. */
function createSessions({ port, host, ca }: To): Sessions {
  let current: ClientHttp2Session | null = null;
  return {
    host,
    get() {
      if (current === null || current.closed || current.destroyed) {
        const made = connectHttp2(`https://127.0.0.1:${port}`, { ca, servername: host });
        made.on('error', () => {});
        made.on('goaway', () => {
          if (current === made) current = null;
        });
        made.on('close', () => {
          if (current === made) current = null;
        });
        current = made;
      }
      return current;
    },
    close() {
      current?.close();
    },
  };
}

async function getOverHttp2(sessions: Sessions, path: string): Promise<void> {
  expectBody(path, await exchange(sessions, { ':path': path }));
}

async function uploadOverHttp2(sessions: Sessions): Promise<void> {
  const body = randomBytes(300_000);
  expectDigest((await exchange(sessions, { ':path': '/digest', ':method': 'POST' }, body)).toString(), body);
}

/** A stream that the edge refused as it is about to end its session was not acted on (RFC 9113, section 8.7): a client asks again. */
async function exchange(sessions: Sessions, fields: object, body?: Buffer): Promise<Buffer> {
  for (;;) {
    const session = sessions.get();
    try {
      return await exchangeOn(session, { ':authority': sessions.host, ...fields }, body);
    } catch (error) {
      if (!isRefused(error)) throw error;
      await delay(pauseMs);
    }
  }
}

async function exchangeOn(session: ClientHttp2Session, fields: object, body?: Buffer): Promise<Buffer> {
  const stream = session.request({ ...fields }, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  const failed = once(stream, 'error').then(([error]) => {
    throw error;
  });
  failed.catch(() => {});
  const read = async () => {
    const [head] = await once(stream, 'response');
    expectStatus(head[':status']);
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    return Buffer.concat(chunks);
  };
  const answer = read();
  answer.catch(() => {});
  return Promise.race([answer, failed]);
}

function isRefused(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string };
  return (
    code === 'ERR_HTTP2_GOAWAY_SESSION' ||
    code === 'ERR_HTTP2_INVALID_SESSION' ||
    /NGHTTP2_REFUSED_STREAM/.test(message ?? '')
  );
}

/** An event stream has to come as it is sent, not when it ends. */
async function readEvents(to: Kept): Promise<void> {
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

async function talk(to: Kept): Promise<void> {
  const sent = requestTo(to, '/echo', {
    headers: {
      host: to.host,
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-version': '13',
    },
  }).end();
  const [, socket] = (await Promise.race([
    once(sent, 'upgrade'),
    once(sent, 'response').then(([response]) => {
      throw new Error(`status ${response.statusCode}`);
    }),
  ])) as [unknown, Socket];
  try {
    for (let turn = 0; turn < 10; turn += 1) {
      const said = randomBytes(2_000);
      socket.write(said);
      let heard = Buffer.alloc(0);
      while (heard.length < said.length) {
        const [chunk] = await once(socket, 'data');
        heard = Buffer.concat([heard, chunk]);
      }
      if (!heard.equals(said)) throw new Error('the echo is of something else');
      await delay(streamMs / 10);
    }
  } finally {
    socket.destroy();
  }
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function expectStatus(status: number): void {
  if (status !== 200) throw new Error(`status ${status}`);
}

function expectDigest(text: string, body: Buffer): void {
  if (text !== digestOf(body)) throw new Error('the upstream received something else');
}

export function digestOf(body: Buffer): string {
  return createHash('sha256').update(body).digest('hex');
}

function describe(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code === undefined ? String(message) : `${code} ${message}`;
}
