import { get, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';

/** One request over plain HTTP. */
export async function fetchPlain(
  port: number,
  path: string,
  host: string,
  more: Record<string, string> = {},
) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, headers: { host, ...more }, agent: false }, resolve).on(
      'error',
      reject,
    );
  });
  return { status: response.statusCode!, headers: response.headers, body: await text(response) };
}
