import { Agent, request } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { type Quantiles, quantilesOf } from './report.ts';

export interface SwapLoadOptions {
  ports: number[];
  host: string;
  ca: string;
  body: string;
  /** Clients an edge that keep their connection, and clients that make one for each request. */
  keepAlive: number;
  fresh: number;
}

export interface SwapLoadFigures {
  keepAlive: LoadFigures;
  fresh: LoadFigures;
  /** Of the certificates that new connections were shown. */
  serialNumbers: string[];
}

export interface LoadFigures {
  requests: number;
  connections: number;
  /** Handshakes and requests that failed, by reason. */
  failures: Record<string, number>;
  ms: Quantiles;
}

interface Tally {
  ms: number[];
  connections: number;
  failures: Record<string, number>;
}

// A process of its own, which would otherwise share its thread with what commits the swaps: loads until the parent says stop.
let stopping = false;
const { ports, host, ca, body, keepAlive, fresh } = JSON.parse(process.argv[2] ?? '{}') as SwapLoadOptions;
const serialNumbers = new Set<string>();
const known = new WeakSet<TLSSocket>();
process.on('disconnect', () => process.exit(1));
process.on('message', () => {
  stopping = true;
});

const kept: Tally = { ms: [], connections: 0, failures: {} };
const single: Tally = { ms: [], connections: 0, failures: {} };
await Promise.all(
  ports.flatMap((port) => {
    const agent = new Agent({ keepAlive: true, maxSockets: keepAlive });
    return [
      ...Array.from({ length: keepAlive }, () => loop(port, kept, agent)),
      ...Array.from({ length: fresh }, () => loop(port, single, null)),
    ];
  }),
);
const figures: SwapLoadFigures = {
  keepAlive: summarise(kept),
  fresh: summarise(single),
  serialNumbers: [...serialNumbers],
};
process.send!(figures, () => process.exit(0));

async function loop(port: number, tally: Tally, agent: Agent | null): Promise<void> {
  while (!stopping) {
    const begunAt = performance.now();
    try {
      await get(port, tally, agent ?? new Agent({ keepAlive: false, maxCachedSessions: 0 }));
      tally.ms.push(performance.now() - begunAt);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const reason = code ?? message;
      tally.failures[reason] = (tally.failures[reason] ?? 0) + 1;
    }
  }
}

function get(port: number, tally: Tally, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      servername: host,
      headers: { host },
      ca,
      agent,
      timeout: 10_000,
    };
    const outgoing = request(options, (incoming) => {
      let received = '';
      incoming
        .setEncoding('utf8')
        .on('data', (text) => {
          received += text;
        })
        .on('end', () => {
          if (incoming.statusCode === 200 && received === body) resolve();
          else reject(new Error(`answer ${incoming.statusCode}`));
        })
        .on('error', reject);
    });
    outgoing.on('socket', (socket) => count(socket as TLSSocket, tally));
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in 10 s')));
    outgoing.on('error', reject);
    outgoing.end();
  });
}

function count(socket: TLSSocket, tally: Tally): void {
  if (known.has(socket)) return;
  known.add(socket);
  tally.connections += 1;
  socket.once('secureConnect', () => {
    serialNumbers.add(socket.getPeerCertificate().serialNumber.toLowerCase());
  });
}

function summarise({ ms, connections, failures }: Tally): LoadFigures {
  return { requests: ms.length, connections, failures, ms: quantilesOf(ms) };
}
