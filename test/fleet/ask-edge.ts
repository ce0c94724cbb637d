import { connect, type IncomingHttpHeaders } from 'node:http2';
import { request } from 'node:https';
import { buffer } from 'node:stream/consumers';
import type { EdgeUnderTest } from './start-fleet.ts';

export type Protocol = 'HTTP/1.1' | 'HTTP/2';

export interface AskOptions {
  host: string;
  path?: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Where the connection comes from. */
  localAddress?: string;
  /** The client's own certificate, PEM. */
  cert?: string;
  key?: string;
}

export interface EdgeAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  text: string;
}

/** One request to an edge on a connection of its own, the chain verified. */
export async function askEdge(
  { https: port }: EdgeUnderTest,
  protocol: Protocol,
  ca: string,
  options: AskOptions,
): Promise<EdgeAnswer> {
  const { status, headers, body } = await (protocol === 'HTTP/2' ? askH2 : askH1)(port, ca, options);
  return { status, headers, body, text: body.toString() };
}

type Answer = Omit<EdgeAnswer, 'text'>;

function askH1(port: number, ca: string, options: AskOptions): Promise<Answer> {
  const { host, headers = {}, body, ...more } = options;
  return new Promise((resolve, reject) => {
    const at = { host: '127.0.0.1', port, servername: host, ca, agent: false as const };
    request({ ...at, ...more, headers: { host, ...headers } }, (response) => {
      buffer(response).then(
        (bytes) => resolve({ status: response.statusCode!, headers: response.headers, body: bytes }),
        reject,
      );
    })
      .on('error', reject)
      .end(body);
  });
}

async function askH2(port: number, ca: string, options: AskOptions): Promise<Answer> {
  const { host, path = '/', method = 'GET', headers = {}, body, ...more } = options;
  const at = { ca, servername: host, family: 4, lookup: loopback, ...more };
  const session = connect(`https://${host}:${port}`, at as Parameters<typeof connect>[1]);
  try {
    const stream = session.request({ ':path': path, ':method': method, ':authority': host, ...headers });
    const head = new Promise<IncomingHttpHeaders & { ':status'?: number }>((resolve, reject) => {
      stream.on('response', resolve).on('error', reject);
      // A handshake that the edge ends may come as a plain end.
      session.on('error', reject).on('close', () => reject(new Error('the connection was closed')));
    });
    // Node has ended a GET already.
    if (body) stream.end(body);
    else stream.end();
    const { ':status': status = 0, ...fields } = await head;
    return { status, headers: fields, body: await buffer(stream) };
  } finally {
    session.close();
  }
}

function loopback(_name: string, { all }: { all?: boolean }, done: (...found: unknown[]) => void): void {
  if (all) done(null, [{ address: '127.0.0.1', family: 4 }]);
  else done(null, '127.0.0.1', 4);
}
