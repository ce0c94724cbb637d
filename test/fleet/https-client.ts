import { Agent, request } from 'node:https';

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

export interface HttpsOptions {
  port: number;
  host: string;
  /** PEM of the roots to trust. */
  ca: string;
  path?: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Kept connections; without, each request makes its own. */
  agent?: Agent;
}

/** One HTTPS request to an edge on loopback, as a client that was dealt there by DNS: the name in SNI and Host, the chain verified. */
export function httpsRequest({
  port,
  host,
  ca,
  path = '/',
  method = 'GET',
  headers = {},
  body,
  agent,
}: HttpsOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        servername: host,
        ca,
        path,
        method,
        headers: { host, ...headers },
        agent: agent ?? new Agent(),
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        );
        response.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}
