import { type ClientHttp2Session, connect as connectH2 } from 'node:http2';
import { Agent, request } from 'node:https';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';

/** The machine is for the edges. */
const pauseMs = 5;

export interface SteadyLoadOptions {
  port: number;
  host: string;
  root: string;
  /** Clients of each protocol, each with a connection that it keeps. */
  clients?: number;
}

/** Clients that ask again and again, over connections that they keep for as long as they are let. */
export interface SteadyLoad {
  readonly answered: number;
  /** What was not answered with 200, in words. */
  readonly failures: readonly string[];
  /** How often a connection had to be made, by protocol. */
  readonly connections: { h1: number; h2: number };
  stop(): Promise<void>;
}

/** Half of what they ask for may not be repeated: POST with a body. */
export function startLoad({ port, host, root, clients = 3 }: SteadyLoadOptions): SteadyLoad {
  const failures: string[] = [];
  const connections = { h1: 0, h2: 0 };
  let answered = 0;
  let stopped = false;

  async function overHttp1(): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const { createConnection } = agent as unknown as { createConnection(...args: unknown[]): unknown };
    Object.assign(agent, {
      createConnection(...args: unknown[]) {
        connections.h1 += 1;
        return createConnection.apply(agent, args);
      },
    });
    for (let turn = 0; !stopped; turn += 1) {
      await delay(pauseMs);
      await ask('h1', async () => {
        const method = turn % 2 === 0 ? 'GET' : 'POST';
        const sent = request({
          host: '127.0.0.1',
          port,
          servername: host,
          ca: root,
          agent,
          method,
          headers: { host },
        });
        const answer = new Promise<[number, string]>((resolve, reject) => {
          sent.on('error', reject).on('response', (response) => {
            text(response).then((body) => resolve([response.statusCode!, body]), reject);
          });
        });
        sent.end(method === 'POST' ? 'a body' : undefined);
        return answer;
      });
    }
    agent.destroy();
  }

  async function overHttp2(): Promise<void> {
    let session: ClientHttp2Session | null = null;
    for (let turn = 0; !stopped; turn += 1) {
      await delay(pauseMs);
      if (session === null || session.closed || session.destroyed) {
        connections.h2 += 1;
        session = connectH2(`https://${host}`, {
          createConnection: () =>
            connectTls({ host: '127.0.0.1', port, servername: host, ca: root, ALPNProtocols: ['h2'] }),
        });
        session.on('error', () => {}); // its requests tell
      }
      await ask('h2', async () => {
        const stream = session!.request({ ':path': '/', ':method': turn % 2 === 0 ? 'GET' : 'POST' });
        const head = new Promise<number>((resolve, reject) => {
          stream.on('error', reject).on('response', (fields) => resolve(fields[':status']!));
        });
        stream.end(turn % 2 === 0 ? undefined : 'a body');
        return [await head, await text(stream)];
      });
    }
    session?.close();
  }

  async function ask(what: string, send: () => Promise<[number, string]>): Promise<void> {
    try {
      const [status, body] = await send();
      if (status === 200 && body === 'ok') answered += 1;
      else failures.push(`${what}: ${status} ${body}`);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      // It never left, or was not looked at: what a client makes anew by itself (RFC 9113, section 8.7).
      if (!/REFUSED_STREAM/.test(message)) failures.push(`${what}: ${code} ${message}`);
    }
  }

  const ended = Array.from({ length: clients }, () => [overHttp1(), overHttp2()]).flat();
  return {
    get answered() {
      return answered;
    },
    failures,
    connections,
    async stop() {
      stopped = true;
      await Promise.all(ended);
    },
  };
}
