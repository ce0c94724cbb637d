import { randomUUID } from 'node:crypto';
import {
  type AccessLog,
  type CertificateRecord,
  type ChallengeRecord,
  type EdgeLimits,
  type EdgeSettings,
  type EdgeTimeouts,
  type EdgeTls,
  edgeSettingsId,
  edgeSettingsOf,
  type OnDemand,
  type Position,
  type RouteDefaults,
  type RouteRecord,
  type Upstream,
} from '@lockstep/contract';
import { PutSettings } from '@lockstep/contract/schemas';
import {
  createAuthority,
  createEdgeSealer,
  deriveEdgeKey,
  generateKeyPem,
  generateSecretKey,
  issueCertificate,
} from '@lockstep/pki';
import { type Change, type ConfigStore, createSqliteStore } from '@lockstep/store';

/** A store with what an operator would have put in, and certificates from an authority of its own. */
export interface ConfiguredStore {
  store: ConfigStore;
  edgeKey: string;
  /** PEM. */
  root: string;
  commit(...changes: Change[]): Promise<Position>;
  /** A route and a certificate for each of its hosts. */
  serve(
    id: string,
    hosts: string[],
    upstreams: (string | Upstream)[],
    paths?: string[],
    more?: Partial<RouteRecord>,
  ): Promise<Position>;
  routeChange(...args: Parameters<ConfiguredStore['serve']>): Change;
  certificateRecord(host: string, change?: Partial<CertificateRecord>): Promise<CertificateRecord>;
  /** A certificate for one name, brought for `names`. */
  broughtRecord(id: string, name: string, change?: Partial<CertificateRecord>): Promise<CertificateRecord>;
  /** A pending tls-alpn-01 challenge. The edge shows the certificate it comes with, whatever its extensions. */
  tlsAlpnRecord(id: string, host: string): Promise<ChallengeRecord>;
  settingsChange(onDemand: Partial<OnDemand> | null, edge?: EdgeChange): Change;
  close(): Promise<void>;
}

type EdgeTlsChange = Partial<EdgeTls>;

export interface EdgeChange {
  limits?: Partial<EdgeLimits>;
  timeouts?: Partial<EdgeTimeouts>;
  deny?: string[];
  accessLog?: Partial<AccessLog>;
  traceparent?: { make?: boolean; sampled?: boolean };
  defaults?: RouteDefaults;
  trustedProxies?: string[];
  proxyProtocolFrom?: string[];
  pages?: EdgeSettings['pages'];
  tls?: EdgeTlsChange;
}

const day = 86_400_000;

export async function createConfiguredStore(
  store: ConfigStore = createSqliteStore({ path: ':memory:' }),
  edgeKey: string = deriveEdgeKey(generateSecretKey()),
): Promise<ConfiguredStore> {
  await store.open({ create: true, expectedEpoch: null });
  const sealer = createEdgeSealer(edgeKey);
  const authority = await createAuthority();
  const keyPem = await generateKeyPem();
  const at = new Date().toISOString();

  async function certificateRecord(
    host: string,
    change: Partial<CertificateRecord> = {},
  ): Promise<CertificateRecord> {
    const chain = await issueCertificate({ authority, host, keyPem, lifetimeMs: 30 * day, now: Date.now() });
    return {
      host,
      issuer: 'internal',
      chain,
      sealedKey: sealer.seal(keyPem, `certificate/${host}`),
      serialNumber: randomUUID(),
      fingerprint256: '',
      notBefore: at,
      notAfter: at,
      issuedAt: at,
      ...change,
    };
  }

  async function broughtRecord(id: string, name: string, change: Partial<CertificateRecord> = {}) {
    return certificateRecord(name, {
      names: [name],
      issuer: 'brought',
      sealedKey: sealer.seal(keyPem, `certificate/${id}`),
      notAfter: new Date(Date.now() + 30 * day).toISOString(),
      ...change,
    });
  }

  async function tlsAlpnRecord(id: string, host: string): Promise<ChallengeRecord> {
    const { chain } = await certificateRecord(host);
    return {
      type: 'tls-alpn-01',
      host,
      token: id,
      keyAuthorization: `${id}.thumbprint`,
      certificate: chain,
      sealedKey: sealer.seal(keyPem, `challenge/${id}`),
      createdAt: at,
    };
  }

  const settingsChange: ConfiguredStore['settingsChange'] = (onDemand, edge = {}) => ({
    op: 'put',
    kind: 'edge-settings',
    id: edgeSettingsId,
    value: edgeSettingsOf(
      PutSettings.parse({
        onDemand: onDemand === null ? null : { ask: 'http://127.0.0.1:1', ...onDemand },
        edge,
      }),
    ),
  });

  const commit = (...changes: Change[]) => store.commit({ id: randomUUID(), changes });
  const routeChange: ConfiguredStore['routeChange'] = (id, hosts, given, paths = ['/'], more = {}) => {
    const upstreams = given.map((one) => (typeof one === 'string' ? { url: one } : one));
    const value = { hosts, paths, upstreams, createdAt: at, updatedAt: at, ...more };
    return { op: 'put', kind: 'route', id, value };
  };

  return {
    store,
    edgeKey,
    root: authority.certificate,
    commit,
    routeChange,
    certificateRecord,
    broughtRecord,
    tlsAlpnRecord,
    settingsChange,
    async serve(id, hosts, ...rest) {
      const changes: Change[] = [routeChange(id, hosts, ...rest)];
      for (const host of hosts) {
        changes.push({ op: 'put', kind: 'certificate', id: host, value: await certificateRecord(host) });
      }
      return commit(...changes);
    },
    close: () => store.close(),
  };
}
