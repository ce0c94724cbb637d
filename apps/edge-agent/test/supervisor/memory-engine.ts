import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import {
  changeFault,
  type Kind,
  type Position,
  type Refusal,
  recordKey,
  sumOfTraffic,
} from '@lockstep/contract';
import type { CreateEngine, EngineOptions } from '../../src/engine/engine.ts';

/** What a test sees of an engine that holds routes in its memory, and answers handshakes with an alert. */
export interface MemoryEngine {
  create: CreateEngine;
  /** What it was given, once it was created. */
  given(): EngineOptions;
  /** The hosts of the routes in force, by id. */
  readonly routes: ReadonlyMap<string, readonly string[]>;
  /** What was called, in order. */
  readonly calls: string[];
}

/** Refuses every route under an id in `refused`. */
export function createMemoryEngine(refused: readonly string[] = []): MemoryEngine {
  const routes = new Map<string, readonly string[]>();
  const calls: string[] = [];
  let options: EngineOptions | null = null;

  const create: CreateEngine = async (given) => {
    options = given;
    const { config, configuration, boundary, onChange } = given;
    const ended = new AbortController();
    const refusals = new Map<string, Refusal>();
    let position: Position | null = null;
    let listening = false;
    const servers = [createTlsServer({}).on('tlsClientError', () => {}), createTcpServer()];
    const [https, http] = await Promise.all(
      [config.https, config.http].map(async ({ host, port }, i) => {
        const server = servers[i] as Server;
        await once(server.listen(port, host), 'listening');
        return { host, port: (server.address() as AddressInfo).port };
      }),
    );
    calls.push('bound');

    function put(kind: Kind, id: string, revision: number, hosts: readonly string[]): void {
      const key = recordKey(kind, id);
      refusals.delete(key);
      if (refused.includes(id)) refusals.set(key, { kind, id, revision, reason: 'not for this engine' });
      else routes.set(id, hosts);
    }

    async function follow(): Promise<void> {
      for await (const event of configuration.follow(null, { signal: ended.signal })) {
        if (event.type === 'snapshot') {
          routes.clear();
          for await (const batch of event.records) {
            for (const { kind, id, revision, value } of batch) {
              if (kind === 'route') put(kind, id, revision, value.hosts);
            }
          }
          position = event.position;
        } else if (event.type === 'commit') {
          const { number } = event.entry.position;
          for (const change of event.entry.changes) {
            if (change.kind !== 'route' || changeFault(change, number) !== null) continue;
            if (change.op === 'delete') routes.delete(change.id);
            else put('route', change.id, number, (change.value as { hosts: string[] }).hosts);
          }
          position = event.entry.position;
        }
        listening = true;
        onChange();
      }
    }

    return {
      addresses: { https: https!, http: http! },
      capabilities: { kinds: ['route'] },
      labels: { failures: ['upstream_of_memory'], refusedRequests: [], cuts: [] },
      async start() {
        calls.push('started');
        boundary.guard('memory', follow)();
      },
      listen() {
        listening = true;
      },
      get processes() {
        return { of: 1, ready: listening && position !== null ? 1 : 0, hung: 0, restarts: 0, kills: 0 };
      },
      applied: () => position,
      refusals: () => [...refusals.values()],
      figures: async () => new Map(),
      traffic: async () => sumOfTraffic([]),
      reopenLogs() {},
      async reload() {
        calls.push('reloaded');
      },
      setDrained(drained) {
        calls.push(drained ? 'set drained' : 'set undrained');
      },
      async drain() {
        if (ended.signal.aborted) return;
        calls.push('drained');
        ended.abort();
        await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
      },
    };
  };
  return {
    create,
    given: () => options!,
    routes,
    calls,
  };
}
