import { createHash } from 'node:crypto';
import { defaultEdgeSettings } from '../api/default-edge-settings.ts';
import type { EdgeSettings } from '../api/edge-settings.ts';
import type { EdgeTls } from '../api/edge-tls.ts';
import type { OnDemand, PutSettings } from '../api/settings.ts';
import { isCount, isFields, isText } from '../shared/fields.ts';
import { recordKind } from './kind-module.ts';
import { upstreamsFault } from './route.ts';
import { defaultsFault } from './route-defaults.ts';
import { unknownField } from './shape.ts';

/** The one record of its kind. */
export const edgeSettingsId = 'settings';

/** Whom a control plane asks about a name is its own affair: an edge is told when another is asked, whose refusals are others. */
export type EdgeOnDemand = Omit<OnDemand, 'ask'> & { askDigest: string };

/** What edges need of the settings, written with them. */
export interface EdgeSettingsRecord {
  /** Null: names that no route names are refused. */
  onDemand: EdgeOnDemand | null;
  edge: EdgeSettings;
}

export const edgeSettings = recordKind<EdgeSettingsRecord>()({
  kind: 'edge-settings',
  audience: 'edge',
  version: 1,
  secret: {},
  journal: () => false, // the settings are
  fault: ({ onDemand, edge }) => onDemandFault(onDemand ?? null) ?? edgeFault(edge),
});

export function edgeSettingsOf({ onDemand, edge }: PutSettings): EdgeSettingsRecord {
  if (onDemand === null) return { onDemand, edge };
  const { ask, ...needed } = onDemand;
  const askDigest = createHash('sha256').update(ask).digest('base64url').slice(0, 22);
  return { onDemand: { ...needed, askDigest }, edge };
}

function onDemandFault(onDemand: unknown): string | null {
  if (onDemand === null) return null;
  if (!isFields(onDemand) || !isText(onDemand.askDigest) || !Array.isArray(onDemand.upstreams)) {
    return 'has an onDemand that cannot be read';
  }
  const { holdMs, refusedForSeconds, perClientPerMinute, totalPerMinute } = onDemand;
  if (![holdMs, refusedForSeconds, perClientPerMinute, totalPerMinute].every(isCount)) {
    return 'has an onDemand without its limits';
  }
  return upstreamsFault(onDemand.upstreams);
}

const all = <T extends object>(fields: T) =>
  Object.fromEntries(Object.keys(fields).map((name) => [name, true])) as Record<keyof T, true>;

/** What this revision serves by. Beyond the first level what is not looked into here says by itself what it does not know. */
const edgeShape: Record<keyof EdgeSettings, true | Record<string, true>> = {
  ...all(defaultEdgeSettings),
  limits: all(defaultEdgeSettings.limits),
  timeouts: all(defaultEdgeSettings.timeouts),
  tls: { minVersion: true, profile: true, noSniCertificate: true } satisfies Record<keyof EdgeTls, true>,
};

function edgeFault(edge: unknown): string | null {
  if (!isFields(edge)) return 'has no limits for edges';
  const unknown = unknownField(edge, edgeShape);
  if (unknown !== null) return `has a field "edge.${unknown}", which this revision of Lockstep does not know`;
  for (const group of ['limits', 'timeouts'] as const) {
    const given = edge[group];
    if (!isFields(given)) return `has no ${group} for edges`;
    for (const name of Object.keys(defaultEdgeSettings[group])) {
      if (!isCount(given[name])) return `has no number as ${name}`;
    }
  }
  const { deny, trustedProxies = [], proxyProtocolFrom = [], tls, notReadyAfterMs, defaults, pages } = edge;
  const { accessLog = null, traceparent } = edge;
  if (!isFields(traceparent)) return 'does not say what becomes of traces';
  if (accessLog !== null && !isAccessLog(accessLog)) return 'has an accessLog that cannot be read';
  const fault = defaultsFault(defaults);
  if (fault !== null) return fault;
  if (!isFields(pages) || !Object.values(pages).every(isText)) return 'has pages that cannot be read';
  for (const [name, list] of Object.entries({ deny, trustedProxies, proxyProtocolFrom })) {
    if (!Array.isArray(list) || !list.every(isText)) return `has a list ${name} that cannot be read`;
  }
  if (tls !== undefined && !isFields(tls)) return 'has settings of TLS that cannot be read';
  return notReadyAfterMs === null || isCount(notReadyAfterMs) ? null : 'has no number as notReadyAfterMs';
}

function isAccessLog(given: unknown): boolean {
  if (!isFields(given)) return false;
  const { format, to, sample, routes, query, clientAddress } = given;
  const shown = ['full', 'truncated', 'hidden'];
  return (
    (format === 'json' || format === 'combined') &&
    isText(to) &&
    typeof sample === 'number' &&
    isFields(routes) &&
    shown.includes(query as string) &&
    shown.includes(clientAddress as string)
  );
}
