import { randomUUID } from 'node:crypto';
import { heartbeatIntervalMs, type LogEntry, type NodeReport } from '@lockstep/contract';
import { createSealers, generateSecretKey, type Sealers } from '@lockstep/pki';
import { type ConfigStore, createSqliteStore } from '@lockstep/store';
import { nodeReport } from '@lockstep/testkit';
import { type Logger, pino } from 'pino';
import type t from 'tap';
import { type ControlPlaneConfig, createControlPlane } from '../src/index.ts';

export const adminToken = 'a-token-for-these-tests';

export interface Shared {
  store: ConfigStore;
  sealers: Sealers;
  log: Logger;
}

/**
 * A control plane over the embedded store, or over one that the test shares among several, with a node that the test speaks for:
 * what it says is all the fleet there is.
 */
export async function startControlPlane(
  test: Pick<typeof t, 'teardown'>,
  dataDir: string,
  config: Partial<ControlPlaneConfig> = {},
  shared: Partial<Shared> = {},
) {
  const store = shared.store ?? createSqliteStore({ path: ':memory:' });
  const sealers = shared.sealers ?? createSealers(generateSecretKey());
  const controlPlane = await createControlPlane({
    config: {
      listen: { host: '127.0.0.1', port: 0 },
      dataDir,
      adminTokens: [adminToken],
      acme: null,
      expectedEdges: 0,
      adminHosts: [],
      newStore: false,
      restored: false,
      ...config,
    },
    store,
    sealers,
    log: shared.log ?? pino({ level: 'silent' }),
  });
  test.teardown(async () => {
    await controlPlane.close();
    await store.close();
  });

  async function call(
    method: string,
    path: string,
    options: { body?: unknown; headers?: Record<string, string> } = {},
  ) {
    const response = await fetch(controlPlane.url + path, {
      method,
      headers: {
        authorization: `Bearer ${adminToken}`,
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(options.body === undefined
        ? {}
        : { body: typeof options.body === 'string' ? options.body : JSON.stringify(options.body) }),
    });
    const text = await response.text();
    const json = response.headers.get('content-type')?.includes('json') ?? false;
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: json && text !== '' ? JSON.parse(text) : null,
    };
  }

  /** The commits that callers of the API have made: what the control plane does by itself is none of them. */
  async function askedFor(): Promise<LogEntry[]> {
    const { epoch } = await store.head();
    const entries = await store.readLog({ epoch, number: 0, commitId: '' }, 10_000);
    return (entries ?? []).filter(({ by }) => by?.kind === 'token');
  }

  const instances = new Map<string, string>();
  /** Reports as a node would that has applied everything so far, or what `changes` says. */
  async function report(node: string, changes: Partial<NodeReport> = {}): Promise<void> {
    const instance = instances.get(node) ?? randomUUID();
    instances.set(node, instance);
    await store.reportNode(nodeReport(node, { instance, applied: await store.head(), ...changes }));
  }

  /** A node that acknowledges every commit as it is made, and is heard of in between however slow the machine is. */
  function acknowledge(node: string): () => void {
    const stop = new AbortController();
    let said = Promise.resolve();
    const say = () => {
      said = said.then(() => (stop.signal.aborted ? undefined : report(node)));
      return said;
    };
    const run = async () => {
      await say();
      for await (const _event of store.follow(await store.head(), { kinds: [], signal: stop.signal }))
        await say();
    };
    const beat = setInterval(() => say().catch(() => {}), heartbeatIntervalMs);
    stop.signal.addEventListener('abort', () => clearInterval(beat));
    run().catch((error) => {
      if (!stop.signal.aborted) throw error;
    });
    test.teardown(() => stop.abort());
    return () => stop.abort();
  }

  return { ...controlPlane, store, sealers, call, askedFor, report, acknowledge };
}
