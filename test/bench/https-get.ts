import { Agent, request } from 'node:https';
import type { TLSSocket } from 'node:tls';

export interface Answer {
  status: number;
  body: string;
  /** Of the certificate that was verified. */
  serialNumber: string;
}

export interface GetOptions {
  port: number;
  host: string;
  /** PEM roots. */
  ca: string;
  timeoutMs?: number;
}

/** One GET over a connection of its own: a full handshake with SNI, the certificate verified for the host. */
export function httpsGet({ port, host, ca, timeoutMs = 5_000 }: GetOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false, maxCachedSessions: 0 });
    const outgoing = request(
      { host: '127.0.0.1', port, servername: host, headers: { host }, ca, agent, timeout: timeoutMs },
      (incoming) => {
        const { serialNumber } = (incoming.socket as TLSSocket).getPeerCertificate();
        let body = '';
        incoming
          .setEncoding('utf8')
          .on('data', (text) => {
            body += text;
          })
          .on('end', () => resolve({ status: incoming.statusCode ?? 0, body, serialNumber }))
          .on('error', reject);
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')));
    outgoing.on('error', reject);
    outgoing.end();
  });
}
