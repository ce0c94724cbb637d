import type { IncomingMessage } from 'node:http';
import { connect as connectH2, type IncomingHttpHeaders } from 'node:http2';
import { type RequestOptions, request } from 'node:https';
import { text } from 'node:stream/consumers';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders | IncomingMessage['headers'];
  body: string;
}

export interface FetchOptions {
  port: number;
  host: string;
  root: string;
  path?: string;
  method?: string;
  headers?: RequestOptions['headers'];
  body?: string;
  /** The server name, where it is not the host. */
  servername?: string;
  /** Where the connection comes from. */
  localAddress?: string;
}

/** One request over HTTP/1.1 on a connection of its own, verified against the root. */
export async function fetchThrough(options: FetchOptions): Promise<Answer> {
  const response = await openThrough(options);
  return { status: response.statusCode!, headers: response.headers, body: await text(response) };
}

/** The same, up to the head of the response. */
export function openThrough(options: FetchOptions): Promise<IncomingMessage> {
  const {
    port,
    host,
    root,
    path = '/',
    method = 'GET',
    headers,
    body,
    servername = host,
    localAddress,
  } = options;
  return new Promise((resolve, reject) => {
    request(
      {
        host: '127.0.0.1',
        port,
        servername,
        ca: root,
        path,
        method,
        headers: { host, ...headers },
        agent: false,
        localAddress,
      },
      resolve,
    )
      .on('error', reject)
      .end(body);
  });
}

/** One request over HTTP/2. */
export async function fetchThroughH2({
  port,
  host,
  root,
  path = '/',
  method = 'GET',
  headers,
  body,
  localAddress,
}: FetchOptions): Promise<Answer> {
  const session = connectH2(`https://${host}:${port}`, {
    ca: root,
    servername: host,
    localAddress,
    lookup: (_name: string, { all }: { all?: boolean }, callback: (...found: unknown[]) => void) => {
      if (all) callback(null, [{ address: '127.0.0.1', family: 4 }]);
      else callback(null, '127.0.0.1', 4);
    },
  } as Parameters<typeof connectH2>[1]);
  try {
    const stream = session.request({
      ':path': path,
      ':method': method,
      ...(headers as Record<string, string>),
    });
    const head = new Promise<IncomingHttpHeaders & { ':status'?: number }>((resolve, reject) => {
      stream.on('response', resolve).on('error', reject);
      session.on('error', reject);
    });
    stream.end(body);
    const received = await head;
    return { status: received[':status']!, headers: received, body: await text(stream) };
  } finally {
    session.close();
  }
}
