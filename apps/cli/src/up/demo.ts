import { once } from 'node:events';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Address } from '@lockstep/contract';

const { createServer } = process.getBuiltinModule('node:http');

/** Names below localhost are this machine's (RFC 6761, section 6.3), so a browser finds them without a hosts file. */
export const demoHost = 'demo.localhost';

export interface DemoUpstream {
  url: string;
  close(): Promise<void>;
}

export async function createDemoUpstream(): Promise<DemoUpstream> {
  const server = createServer((incoming, outgoing) => {
    outgoing.setHeader('content-type', 'text/plain; charset=utf-8');
    outgoing.end(
      `Hello from the demo upstream: ${incoming.method} ${incoming.headers.host}${incoming.url}\n`,
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

export interface DemoRoute {
  apiUrl: string;
  token: string;
  upstreamUrl: string;
  signal: AbortSignal;
}

/**
 * Puts the route (the upstream's port is another at each start) and waits for it; answers the state reached. By the internal CA, whatever
 * the chain is: no other issues for names below localhost.
 */
export async function putDemoRoute({ apiUrl, token, upstreamUrl, signal }: DemoRoute): Promise<string> {
  const response = await fetch(`${apiUrl}/v1/routes/demo`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', prefer: 'wait=60' },
    body: JSON.stringify({ hosts: [demoHost], upstreams: [{ url: upstreamUrl }], issuers: ['internal'] }),
    signal,
  });
  const answer = (await response.json()) as {
    detail?: string;
    status?: { state: string; reason?: string; certificates: { lastError: { detail: string } | null }[] };
  };
  const { status } = answer;
  if (typeof status !== 'object') return `refused with ${response.status}: ${answer.detail}`;
  const why =
    status.reason ?? status.certificates.find(({ lastError }) => lastError !== null)?.lastError?.detail;
  return why === undefined ? status.state : `${status.state} (${why})`;
}

/** The root of the internal CA as PEM; null before its first use. */
export async function getRoot({
  apiUrl,
  token,
  signal,
}: Omit<DemoRoute, 'upstreamUrl'>): Promise<string | null> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${apiUrl}/v1/ca/root.crt`, { headers, signal });
  return response.ok ? response.text() : null;
}

/** What one edge answers for the demo host, over a connection whose certificate was verified against `ca`. */
export function getFromEdge(
  edge: Address,
  { ca, signal }: { ca: string | null; signal: AbortSignal },
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        ...edge,
        servername: demoHost,
        headers: { host: `${demoHost}:${edge.port}` },
        agent: false,
        signal,
        ...(ca === null ? {} : { ca }),
      },
      async (incoming) => {
        try {
          const body = (await incoming.setEncoding('utf8').toArray()).join('');
          resolve({ status: incoming.statusCode ?? 0, body });
        } catch (error) {
          reject(error);
        }
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
  });
}
