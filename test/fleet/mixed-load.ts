import { Agent } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { get, largePath, readEvents, type To, talk, upload } from './mixed-http1.ts';
import { call, createSessions, getOverHttp2, talkOverHttp2, uploadOverHttp2 } from './mixed-http2.ts';

/** Requests of every sort, each sort at a pace of its own, until it is stopped. */
export interface MixedLoad {
  /** By sort, how many were answered as they had to be. */
  readonly answered: Record<string, number>;
  /** What was not. */
  readonly failures: string[];
  stop(): Promise<void>;
}

export type MixedSort = 'gets' | 'uploads' | 'events' | 'tunnels' | 'calls';

export interface MixedLoadOptions {
  /** Edges' https ports; each sort of client goes to each. */
  ports: readonly number[];
  host: string;
  ca: string;
  /** Of these, `gets` may be repeated; for `calls` the upstream needs HTTP/2, for `tunnels` HTTP/1.1. */
  sorts: readonly MixedSort[];
}

const pauseMs = 15;

/** Its upstream is one of `startMixedUpstream`. */
export function startMixedLoad({ ports, host, ca, sorts }: MixedLoadOptions): MixedLoad {
  const answered: Record<string, number> = {};
  const failures: string[] = [];
  const stopped = new AbortController();
  const closers: (() => void)[] = [];

  async function client(what: string, port: number, once: () => Promise<void>): Promise<void> {
    while (!stopped.signal.aborted) {
      const begunAt = new Date().toISOString();
      try {
        await once();
        answered[what] = (answered[what] ?? 0) + 1;
      } catch (error) {
        failures.push(`${begunAt} ${what} of ${host} at ${port}: ${describe(error)}`);
      }
      await delay(pauseMs);
    }
  }

  const clients = ports.flatMap((port) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    const to: To = { port, host, ca };
    const kept = { ...to, agent };
    const anew = () => ({ ...to, agent: new Agent() });
    const sessions = createSessions(to);
    closers.push(() => {
      agent.destroy();
      sessions.close();
    });
    const bySort: Record<MixedSort, Record<string, () => Promise<void>>> = {
      gets: {
        h1: () => get(kept, '/small'),
        'h1 large': () => get(kept, largePath()),
        'h1 new connection': () => get(anew(), '/small'),
        h2: () => getOverHttp2(sessions, '/small'),
        'h2 large': () => getOverHttp2(sessions, largePath()),
      },
      uploads: { 'h1 upload': () => upload(kept), 'h2 upload': () => uploadOverHttp2(sessions) },
      events: { events: () => readEvents(anew()) },
      tunnels: {
        websocket: () => talk(anew(), 'GET', 'websocket'),
        'POST upgrade': () => talk(anew(), 'POST', 'tailscale-control-protocol'),
        'h2 websocket': () => talkOverHttp2(sessions),
      },
      calls: { call: () => call(sessions) },
    };
    return sorts.flatMap((sort) =>
      Object.entries(bySort[sort]).map(([what, once]) => client(what, port, once)),
    );
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

function describe(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code === undefined ? String(message) : `${code} ${message}`;
}
