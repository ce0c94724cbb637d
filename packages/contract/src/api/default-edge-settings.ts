import type { AccessLog } from './access-log.ts';

/** What holds at an edge until an operator says otherwise. The schemas take their defaults from here. */
export const defaultEdgeSettings = {
  limits: {
    headBytes: 16_384,
    headFields: 256,
    targetBytes: 8_192,
    streams: 128,
    connections: 20_000,
    connectionsPerClient: 2_000,
    upstreamConnections: 256,
    upstreamPending: 1_024,
    upstreamPendingMs: 10_000,
    upstreamHeadBytes: 65_536,
  },
  timeouts: {
    headMs: 30_000,
    bodyIdleMs: 60_000,
    writeIdleMs: 60_000,
    keepAliveMs: 60_000,
    tunnelIdleMs: 3_600_000,
    connectMs: 5_000,
    firstByteMs: 60_000,
    upstreamIdleMs: 900_000,
  },
  /** Of every route. */
  defaults: {},
  pages: {},
  /** Link-local addresses, among them the metadata services of clouds; sockets by which a machine is ruled. */
  deny: [
    '169.254.0.0/16',
    'fe80::/10',
    'fd00:ec2::254/128',
    'unix:/run/docker.sock',
    'unix:/var/run/docker.sock',
    'unix:/run/containerd',
    'unix:/run/crio',
    'unix:/run/podman',
    'unix:/run/systemd',
    'unix:/run/dbus',
  ],
  trustedProxies: [] as string[],
  proxyProtocolFrom: [] as string[],
  tls: { profile: 'intermediate' as 'intermediate' | 'modern' },
  traceparent: { make: true, sampled: true },
  accessLog: null as AccessLog | null,
  notReadyAfterMs: null as number | null,
};
