import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type CertificateRecord,
  edgeCanaryId,
  idleOrder,
  type OrderRecord,
  type RouteRecord,
  recordKey,
} from '@lockstep/contract';
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
import { type Change, createSqliteStore } from '@lockstep/store';

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
export async function loadStore({ path, routes, upstreamUrl }: LoadOptions): Promise<DataFolder> {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const secretKey = generateSecretKey();
  const token = randomBytes(24).toString('base64url');
  for (const [name, secret] of Object.entries({ 'secret-key': secretKey, 'admin-token': token })) {
    writeFileSync(join(path, name), `${secret}\n`, { mode: 0o600 });
  }
  const sealers = createSealers(secretKey);
  const authority = await createAuthority();
  const keyPem = await generateKeyPem();
  const now = Date.now();
  const chain = await issueCertificate({ authority, host: `*.${zone}`, keyPem, lifetimeMs, now });
  const { serialNumber, fingerprint256, notBefore, notAfter } = checkChain({
    chain,
    keyPem,
    host: `*.${zone}`,
    now,
  });
  const at = new Date(now).toISOString();
  const material = {
    issuer: 'internal',
    chain,
    serialNumber,
    fingerprint256,
    notBefore,
    notAfter,
    issuedAt: at,
  };

  // The log is not what is measured, and nobody has to follow it from here: keep it short.
  const store = createSqliteStore({ path: join(path, 'store.db'), logEntries: 1 });
  try {
    await store.open({ create: true, expectedEpoch: null });
    await store.commit({ id: randomUUID(), changes: firstRecords(sealers, authority) });
    const dueAt = new Date(now + lifetimeMs / 2).toISOString();
    for (let from = 0; from < routes; from += hostsPerCommit) {
      const changes: Change[] = [];
      for (let index = from; index < Math.min(routes, from + hostsPerCommit); index += 1) {
        const host = bulkHost(index);
        const route = {
          hosts: [host],
          paths: ['/'],
          upstreams: [{ url: upstreamUrl }],
          createdAt: at,
          updatedAt: at,
        };
        const sealedKey = sealers.edges.seal(keyPem, recordKey('certificate', host));
        changes.push(
          ...recordsOf(
            `rt_bulk${index}`,
            route,
            { host, ...material, sealedKey },
            { ...idleOrder(host, at, dueAt), renewAt: dueAt },
          ),
        );
      }
      await store.commit({ id: randomUUID(), changes });
    }
  } finally {
    await store.close();
  }
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

function recordsOf(
  id: string,
  route: RouteRecord,
  certificate: CertificateRecord,
  order: OrderRecord,
): Change[] {
  const { host } = certificate;
  return [
    { op: 'put', kind: 'route', id, value: route, claims: [`${host} /`] },
    { op: 'put', kind: 'certificate', id: host, value: certificate },
    putOrder(host, order),
  ];
}
