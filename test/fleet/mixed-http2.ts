import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
} from 'node:http2';
import { setTimeout as delay } from 'node:timers/promises';
import { expectBody, expectDigest, expectStatus, hearEchoes, type To } from './mixed-http1.ts';

const pauseMs = 15;

export interface Sessions {
  readonly host: string;
  get(): ClientHttp2Session;
  close(): void;
}

/** One session at a time; a next one where the edge said that the last takes no more. */
export function createSessions({ port, host, ca }: To): Sessions {
  let current: ClientHttp2Session | null = null;
  return {
    host,
    get() {
      if (current === null || current.closed || current.destroyed) {
        const made = connect(`https://127.0.0.1:${port}`, { ca, servername: host });
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

export async function getOverHttp2(sessions: Sessions, path: string): Promise<void> {
  const { body } = await exchange(sessions, { ':path': path });
  expectBody(path, body);
}

export async function uploadOverHttp2(sessions: Sessions): Promise<void> {
  const sent = randomBytes(300_000);
  const { body } = await exchange(sessions, { ':path': '/digest', ':method': 'POST' }, (stream) =>
    stream.end(sent),
  );
  expectDigest(body.toString(), sent);
}

const callFields = {
  ':path': '/call',
  ':method': 'POST',
  'content-type': 'application/grpc',
  te: 'trailers',
};

/** Each message is answered before the next is sent, and the outcome stands in the trailer. */
export async function call(sessions: Sessions): Promise<void> {
  const messages = Array.from({ length: 5 }, () => randomBytes(1_000));
  const { body, trailer } = await exchange(sessions, callFields, (stream) => {
    let heard = 0;
    let next = 0;
    const say = () => (next < messages.length ? stream.write(messages[next++]) : stream.end());
    stream.on('data', (chunk) => {
      heard += chunk.length;
      if (heard === next * 1_000) say();
    });
    say();
  });
  if (!body.equals(Buffer.concat(messages))) throw new Error('the answers are of something else');
  if (trailer['grpc-status'] !== '0') throw new Error(`the trailer is ${JSON.stringify(trailer)}`);
}

/** RFC 8441. */
export async function talkOverHttp2(sessions: Sessions): Promise<void> {
  const fields = {
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': 'https',
    ':path': '/echo',
    'sec-websocket-version': '13',
  };
  await untilTaken(sessions, async (session) => {
    if (session.remoteSettings.enableConnectProtocol !== true) await once(session, 'remoteSettings');
    const stream = session.request({ ':authority': sessions.host, ...fields }, { endStream: false });
    const [head] = await once(stream, 'response');
    expectStatus(head[':status']);
    await hearEchoes(stream);
  });
}

interface Answer {
  body: Buffer;
  trailer: IncomingHttpHeaders;
}

function exchange(
  sessions: Sessions,
  fields: object,
  send?: (stream: ClientHttp2Stream) => void,
): Promise<Answer> {
  return untilTaken(sessions, (session) => {
    const head = { ':authority': sessions.host, ...fields };
    const stream = session.request(head, { endStream: send === undefined });
    send?.(stream);
    return answerOf(stream);
  });
}

/** A stream that the edge refused as it is about to end its session was not acted on (RFC 9113, section 8.7): a client asks again. */
async function untilTaken<T>(
  sessions: Sessions,
  ask: (session: ClientHttp2Session) => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await ask(sessions.get());
    } catch (error) {
      if (!isRefused(error)) throw error;
      await delay(pauseMs);
    }
  }
}

async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  const chunks: Buffer[] = [];
  let trailer: IncomingHttpHeaders = {};
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.once('trailers', (fields) => {
    trailer = fields;
  });
  const ended = once(stream, 'end');
  ended.catch(() => {});
  const [head] = await once(stream, 'response');
  expectStatus(head[':status']);
  await ended;
  return { body: Buffer.concat(chunks), trailer };
}

function isRefused(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string };
  return (
    code === 'ERR_HTTP2_GOAWAY_SESSION' ||
    code === 'ERR_HTTP2_INVALID_SESSION' ||
    /NGHTTP2_REFUSED_STREAM/.test(message ?? '')
  );
}
