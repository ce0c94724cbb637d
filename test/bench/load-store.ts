import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CertificateRecord, edgeCanaryId, idleOrder, recordKey } from '@lockstep/contract';
import { putOrder } from '@lockstep/control-plane/order-record';
import {
  type Authority,
  checkChain,
  createAuthority,
  createSealers,
  deriveEdgeKey,
  generateKeyPem,
  generateSecretKey,
  issueCertificate,
  type Sealers,
  sealCanary,
} from '@lockstep/pki';
import { type Change, type ConfigStore, createSqliteStore } from '@lockstep/store';

const lifetimeMs = 90 * 86_400_000;
/** Three records a host, below the 500 of a commit. */
const hostsPerCommit = 160;
const zone = 'bulk.example.com';

export interface DataFolder {
  path: string;
  token: string;
  edgeKey: string;
  authority: Authority;
  /** Of the certificate that all loaded hosts share: a wildcard's. */
  keyPem: string;
  chain: string;
}

export interface LoadOptions {
  path: string;
  routes: number;
  upstreamUrl: string;
  /** Certificates of hosts that no route names yet, as somebody leaves them who moved over with certificates. */
  ready?: number;
}

/** Of loaded hosts; `%` stands for seven digits. */
export const hostPattern = `h%.${zone}`;

/** The host of loaded route number `index`. */
export function bulkHost(index: number): string {
  return hostPattern.replace('%', String(index).padStart(7, '0'));
}

/**
 * Makes a data folder as `lockstep up` leaves one behind, with so many live routes. The certificates are ready made: one chain
 * and one key for all, sealed for each record by itself.
 */
export async function loadStore(options: LoadOptions): Promise<DataFolder> {
  const { path } = options;
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const secretKey = generateSecretKey();
  const token = randomBytes(24).toString('base64url');
  for (const [name, secret] of Object.entries({ 'secret-key': secretKey, 'admin-token': token })) {
    writeFileSync(join(path, name), `${secret}\n`, { mode: 0o600 });
  }
  const sealers = createSealers(secretKey);
  const authority = await createAuthority();
  const ready = await readyMaterial(authority);
  // The log is not what is measured, and nobody has to follow it from here: keep it short.
  const store = createSqliteStore({ path: join(path, 'store.db'), logEntries: 1 });
  try {
    await store.open({ create: true, expectedEpoch: null });
    await store.commit({ id: randomUUID(), changes: firstRecords(sealers, authority) });
    await loadHosts(store, { ready, sealers, routes: options.routes, upstreamUrl: options.upstreamUrl });
    await loadHosts(store, { ready, sealers, routes: options.ready ?? 0, upstreamUrl: null });
  } finally {
    await store.close();
  }
  const { keyPem, chain } = ready;
  return { path, token, edgeKey: deriveEdgeKey(secretKey), authority, keyPem, chain };
}

function firstRecords(sealers: Sealers, { certificate, keyPem }: Authority): Change[] {
  const sealedKey = sealers.controlPlanes.seal(keyPem, recordKey('authority', 'internal'));
  return [
    { op: 'put', kind: 'canary', id: 'canary', value: { sealed: sealCanary(sealers.controlPlanes) } },
    { op: 'put', kind: 'edge-canary', id: edgeCanaryId, value: { sealed: sealCanary(sealers.edges) } },
    { op: 'put', kind: 'authority', id: 'internal', value: { certificate, sealedKey } },
  ];
}

interface Ready extends Omit<CertificateRecord, 'host' | 'sealedKey'> {
  keyPem: string;
}

/** What all loaded hosts share: one chain and one key, sealed for each record by itself. */
async function readyMaterial(authority: Authority): Promise<Ready> {
  const keyPem = await generateKeyPem();
  const now = Date.now();
  const host = `*.${zone}`;
  const chain = await issueCertificate({ authority, host, keyPem, lifetimeMs, now });
  const { serialNumber, fingerprint256, notBefore, notAfter } = checkChain({ chain, keyPem, host, now });
  const issuedAt = new Date(now).toISOString();
  return { issuer: 'internal', keyPem, chain, serialNumber, fingerprint256, notBefore, notAfter, issuedAt };
}

/** The same certificates in a store that control planes and edges are at. */
export async function loadReady(
  store: ConfigStore,
  secretKey: string,
  authority: Authority,
  count: number,
): Promise<void> {
  const sealers = createSealers(secretKey);
  await loadHosts(store, {
    ready: await readyMaterial(authority),
    sealers,
    routes: count,
    upstreamUrl: null,
  });
}

interface LoadHosts {
  ready: Ready;
  sealers: Sealers;
  routes: number;
  /** Null: no route names the hosts. */
  upstreamUrl: string | null;
}

async function loadHosts(
  store: ConfigStore,
  { ready: { keyPem, ...material }, sealers, routes, upstreamUrl }: LoadHosts,
): Promise<void> {
  const at = material.issuedAt;
  const dueAt = new Date(Date.parse(at) + lifetimeMs / 2).toISOString();
  for (let from = 0; from < routes; from += hostsPerCommit) {
    const changes: Change[] = [];
    for (let index = from; index < Math.min(routes, from + hostsPerCommit); index += 1) {
      const host = bulkHost(index);
      const sealedKey = sealers.edges.seal(keyPem, recordKey('certificate', host));
      const unusedSince = upstreamUrl === null ? at : null;
      const order = { ...idleOrder(host, at, dueAt), renewAt: dueAt, unusedSince };
      changes.push(
        { op: 'put', kind: 'certificate', id: host, value: { host, ...material, sealedKey } },
        putOrder(host, order),
      );
      if (upstreamUrl === null) continue;
      const times = { createdAt: at, updatedAt: at };
      const value = { hosts: [host], paths: ['/'], upstreams: [{ url: upstreamUrl }], ...times };
      changes.push({ op: 'put', kind: 'route', id: `rt_bulk${index}`, value, claims: [`${host} /`] });
    }
    await store.commit({ id: randomUUID(), changes });
  }
}
