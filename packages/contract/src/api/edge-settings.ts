import { z } from 'zod';
import { strayBits } from '../shared/address-ranges.ts';
import { AccessLog } from './access-log.ts';
import { defaultEdgeSettings } from './default-edge-settings.ts';
import { EdgeTls } from './edge-tls.ts';
import { routeDefaults, shownRouteDefaults } from './route/defaults.ts';
import { pages } from './route/pages.ts';

const { limits, timeouts, deny, trustedProxies, proxyProtocolFrom, accessLog, traceparent, notReadyAfterMs } =
  defaultEdgeSettings;
const durationMs = (least: number, most: number, standard: number) =>
  z.int().min(least).max(most).default(standard);

/** How much one client, connection or upstream may take of an edge; the same for HTTP/1.1 and HTTP/2. */
export const EdgeLimits = z
  .strictObject({
    headBytes: z
      .int()
      .min(4_096)
      .max(65_536)
      .default(limits.headBytes)
      .describe('Names and values of a request’s fields, uncompressed; beyond: 431'),
    headFields: z
      .int()
      .min(32)
      .max(1_000)
      .default(limits.headFields)
      .describe('Fields of a request; beyond: 431'),
    targetBytes: z
      .int()
      .min(1_024)
      .max(32_768)
      .default(limits.targetBytes)
      .describe('Of a request; beyond: 414'),
    streams: z
      .int()
      .min(1)
      .max(1_000)
      .default(limits.streams)
      .describe('Open HTTP/2 streams of a connection'),
    connections: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(limits.connections)
      .describe('Of a worker, from clients'),
    connectionsPerClient: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(limits.connectionsPerClient)
      .describe('Of a worker, from one address'),
    upstreamConnections: z
      .int()
      .min(1)
      .max(10_000)
      .default(limits.upstreamConnections)
      .describe('Of a worker to one upstream'),
    upstreamPending: z
      .int()
      .min(0)
      .max(100_000)
      .default(limits.upstreamPending)
      .describe('Requests of a worker that wait for a connection to one upstream; beyond: 503'),
    upstreamPendingMs: durationMs(1, 300_000, limits.upstreamPendingMs).describe(
      'How long one waits so, at most; then 503',
    ),
    upstreamHeadBytes: z
      .int()
      .min(4_096)
      .max(262_144)
      .default(limits.upstreamHeadBytes)
      .describe('Of an answer; beyond: 502'),
  })
  .meta({ id: 'EdgeLimits' });
export type EdgeLimits = z.infer<typeof EdgeLimits>;

/** How long an edge waits for the next sign of progress. */
export const EdgeTimeouts = z
  .strictObject({
    headMs: durationMs(1_000, 300_000, timeouts.headMs).describe('For the whole head of a request; then 408'),
    bodyIdleMs: durationMs(1_000, 3_600_000, timeouts.bodyIdleMs).describe(
      'Between two parts of a request’s body; then 408',
    ),
    writeIdleMs: durationMs(1_000, 3_600_000, timeouts.writeIdleMs).describe(
      'While a client takes nothing of an answer that waits for it',
    ),
    keepAliveMs: durationMs(1_000, 3_600_000, timeouts.keepAliveMs).describe(
      'Between two requests of a connection',
    ),
    tunnelIdleMs: durationMs(1_000, 86_400_000, timeouts.tunnelIdleMs).describe(
      'While neither end of a websocket sends',
    ),
    connectMs: durationMs(100, 300_000, timeouts.connectMs).describe(
      'For a connection to an upstream; then 504',
    ),
    firstByteMs: durationMs(100, 3_600_000, timeouts.firstByteMs).describe(
      'For the final head of an answer; then 504',
    ),
    upstreamIdleMs: durationMs(1_000, 86_400_000, timeouts.upstreamIdleMs).describe(
      'Between two parts of an answer’s body; event streams are as quiet as their pings are rare',
    ),
  })
  .meta({ id: 'EdgeTimeouts' });
export type EdgeTimeouts = z.infer<typeof EdgeTimeouts>;

const withoutStrayBits: z.core.CheckFn<string> = (checked) => {
  const message = strayBits(checked.value);
  if (message !== null) checked.issues.push({ code: 'custom', message, input: checked.value });
};

const Cidr = z
  .union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], {
    error: 'is neither an IP address nor a range such as 203.0.113.0/24',
  })
  .check(withoutStrayBits);

const Denied = z
  .union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6(), z.string().regex(/^unix:(?:\/[^/\0]+)+$/)], {
    error:
      'is neither an IP address, nor a range such as 169.254.0.0/16, nor a socket or folder such as unix:/run/docker.sock',
  })
  .check(withoutStrayBits);

/** The trace of a request (W3C Trace Context). What a client sends is passed on as it came. */
export const EdgeTraceparent = z
  .strictObject({
    make: z
      .boolean()
      .default(traceparent.make)
      .describe('Begin a trace where a client sends none, or one that cannot be read'),
    sampled: z
      .boolean()
      .default(traceparent.sampled)
      .describe('Whether such a trace says that it is recorded; many upstreams record only then'),
  })
  .meta({ id: 'EdgeTraceparent' });

export const EdgeSettings = z
  .strictObject({
    limits: EdgeLimits.prefault({}),
    timeouts: EdgeTimeouts.prefault({}),
    defaults: routeDefaults.default({}),
    pages: pages
      .default({})
      .describe('What edges answer in HTML where no upstream does, unless the route says it'),
    deny: z
      .array(Denied)
      .max(200)
      .default(deny)
      .describe(
        'Addresses where no upstream, ask endpoint or webhook may lead, beside those of the fleet itself',
      ),
    trustedProxies: z
      .array(Cidr)
      .max(500)
      .default(trustedProxies)
      .describe(
        'Proxies in front: what they say in `X-Forwarded-*` and `Forwarded` of their clients is believed',
      ),
    proxyProtocolFrom: z
      .array(Cidr)
      .max(500)
      .default(proxyProtocolFrom)
      .describe('Balancers that tell by the PROXY protocol (1 or 2) whose connection they pass on'),
    tls: EdgeTls.prefault({}),
    traceparent: EdgeTraceparent.prefault({}),
    accessLog: AccessLog.nullable().default(accessLog).describe('A line for each answer; null: none'),
    notReadyAfterMs: z
      .int()
      .min(10_000)
      .max(604_800_000)
      .nullable()
      .default(notReadyAfterMs)
      .describe(
        'How long an edge that cannot follow stays `degraded` (200) at /readyz before 503; null: for ever',
      ),
  })
  .meta({ id: 'EdgeSettings', description: 'What holds at each edge, in force without a restart' });
export type EdgeSettings = z.infer<typeof EdgeSettings>;

/** As it is shown. What is normalised on its way in is plain text on its way out. */
export const StoredEdgeSettings = EdgeSettings.extend({ defaults: shownRouteDefaults }).meta({
  id: 'StoredEdgeSettings',
});
