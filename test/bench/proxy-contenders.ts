import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { waitFor } from '@lockstep/testkit';
import { getBody } from './add-route-lockstep.ts';
import { findTool } from './find-tool.ts';
import { freePorts } from './free-ports.ts';
import { bulkHost, type DataFolder, loadStore } from './load-store.ts';
import { caddy } from './peers/caddy.ts';
import { haproxy } from './peers/haproxy.ts';
import { startLockstepEdge } from './peers/lockstep.ts';
import { nginx } from './peers/nginx.ts';
import type { Upstream } from './start-upstream.ts';

export interface Contender {
  name: string;
  version: string;
  port: number;
  pid: number;
  /** Whom its clients trust. */
  certificate: string;
  stop(): Promise<void>;
}

export interface ContendersOptions {
  /** For whatever they write. */
  temporary: string;
  upstream: Upstream;
  hosts: number;
  workers: number;
  /** In lower case. */
  peers: readonly string[];
  /** A checkout of another revision. */
  before: string | undefined;
}

/** Starts Lockstep and each of the peers that there is. They are put into `into` as they come, so that whoever calls can stop them. */
export async function startContenders(options: ContendersOptions, into: Contender[]): Promise<void> {
  const { temporary, upstream, hosts, workers, peers, before } = options;
  const folder = await loadStore({
    path: join(temporary, 'lockstep'),
    routes: hosts,
    upstreamUrl: upstream.url,
  });
  const { certificate } = folder.authority;
  const edge = await startLockstepEdge(folder, join(temporary, 'lockstep.log'), workers);
  into.push({ name: 'Lockstep', version: `on Node ${process.versions.node}`, certificate, ...edge });
  if (before !== undefined) into.push(await startBefore(before, options));
  for (const peer of [haproxy, nginx, caddy]) {
    const name = peer.name.toLowerCase();
    if (peers.includes(name)) await startPeer(peer, folder, options, into);
  }
}

async function startPeer(
  peer: typeof haproxy,
  { authority, keyPem, chain }: DataFolder,
  { temporary, upstream, hosts, workers }: ContendersOptions,
  into: Contender[],
): Promise<void> {
  const tool = await findTool(peer.name.toLowerCase());
  if (tool === null) return;
  const folder = join(temporary, peer.name);
  mkdirSync(folder);
  const pemFile = join(folder, 'certificate.pem');
  writeFileSync(pemFile, keyPem + chain, { mode: 0o600 });
  const port = await freePorts(1);
  const { pid, stop, check } = await peer.start({
    ...{ folder, port, pemFile, workers },
    hosts: Array.from({ length: hosts }, (_, index) => bulkHost(index)),
    upstreamPort: upstream.port,
    command: tool.command,
  });
  const { certificate } = authority;
  into.push({ name: peer.name, version: tool.version, port, pid, certificate, stop });
  await waitFor(
    () => {
      check();
      return getBody(port, bulkHost(0), certificate, upstream).then(() => true);
    },
    { what: `${peer.name} to serve`, timeoutMs: 120_000 },
  );
}

/** Everything is that revision's own, its store and its certificates included. */
async function startBefore(
  checkout: string,
  { temporary, upstream, hosts, workers }: ContendersOptions,
): Promise<Contender> {
  const importFrom = (file: string) => import(join(resolve(checkout), 'test/bench', file));
  const store: typeof import('./load-store.ts') = await importFrom('load-store.ts');
  const lockstep: typeof import('./peers/lockstep.ts') = await importFrom('peers/lockstep.ts');
  const path = join(temporary, 'before');
  const folder = await store.loadStore({ path, routes: hosts, upstreamUrl: upstream.url });
  const edge = await lockstep.startLockstepEdge(folder, join(temporary, 'before.log'), workers);
  return { name: 'Lockstep before', version: checkout, certificate: folder.authority.certificate, ...edge };
}
