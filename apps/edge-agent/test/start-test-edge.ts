import { readFileSync } from 'node:fs';
import type { NodePresence } from '@lockstep/contract';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import type { Test } from 'tap';
import type { Feed } from '../src/feed/feed.ts';
import {
  createStoreFeed,
  type EdgeAddresses,
  type EdgeConfig,
  type EdgeProcess,
  spawnEdge,
} from '../src/index.ts';
import type { ConfiguredStore } from './configured-store.ts';
import { fetchThrough } from './fetch-through.ts';
import { startUpstream } from './start-upstream.ts';

export const local = (port = 0) => ({ host: '127.0.0.1', port });
export const threeHosts = ['a.example.com', 'b.example.com', 'c.example.com'];

export interface Started {
  edge: EdgeProcess;
  addresses: EdgeAddresses;
}

/** An edge in a process of its own, that ends with the test. */
export function spawnTestEdge(
  t: Test,
  configured: ConfiguredStore,
  config: Partial<EdgeConfig> & { dataDir: string },
  feed?: Feed,
): EdgeProcess {
  const edge = spawnEdge({
    config: {
      node: 'edge-1',
      https: local(),
      http: local(),
      admin: local(),
      publicHttpsPort: null,
      workers: 1,
      logLevel: 'silent',
      drainTimeoutMs: 1_000,
      ...config,
    },
    edgeKey: configured.edgeKey,
    feed: feed ?? createStoreFeed(configured.store),
    log: pino({ level: 'silent' }),
  });
  t.teardown(() => edge.stop());
  return edge;
}

/** The same, once its ports are bound. */
export async function startTestEdge(...args: Parameters<typeof spawnTestEdge>): Promise<Started> {
  const edge = spawnTestEdge(...args);
  return { edge, addresses: await edge.ready };
}

/** The edge's presence, once it is as wanted. */
export function presenceOf(
  configured: ConfiguredStore,
  wanted: (presence: NodePresence) => boolean,
  what: string,
) {
  return waitFor(async () => (await configured.store.listNodes()).find(wanted), { what });
}

export const appliedAt = (configured: ConfiguredStore, number: number) =>
  presenceOf(
    configured,
    ({ report }) => report.applied?.number === number,
    `revision ${number} to be applied`,
  );

export async function statusOf(
  configured: ConfiguredStore,
  { https }: EdgeAddresses,
  host: string,
): Promise<number> {
  return (await fetchThrough({ port: https.port, host, root: configured.root })).status;
}

/** A route for each of `threeHosts`; the number of the last commit. */
export async function serveThree(t: Test, configured: ConfiguredStore): Promise<number> {
  const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
  let number = 0;
  for (const host of threeHosts) number = (await configured.serve(host.slice(0, 1), [host], [url])).number;
  return number;
}

/** The process ids of a process's children. */
export function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number);
}

export function isAlive(pid: number): boolean {
  try {
    // A zombie that its new parent has not collected yet runs no more.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
