import { defaultEdgeSettings } from '../api/default-edge-settings.ts';
import type { PutSettings } from '../api/settings.ts';
import { isCount, isFields, isText } from '../shared/fields.ts';
import { recordKind } from './kind-module.ts';
import { upstreamsFault } from './route.ts';

/** The one record of its kind. */
export const settingsId = 'settings';

/** The settings as the store keeps them, and edges receive them: the provider's secret sealed with `settings/settings`. */
export interface SettingsRecord {
  config: PutSettings;
  sealedSecrets: string | null;
  updatedAt: string;
}

export const settings = recordKind<SettingsRecord>()({
  kind: 'settings',
  audience: 'edge',
  version: 1,
  secret: { sealedSecrets: 'control' },
  journal: () => true,
  fault({ config }) {
    if (!isFields(config)) return 'has no settings';
    return onDemandFault(config.onDemand ?? null) ?? edgeFault(config.edge);
  },
});

function onDemandFault(onDemand: unknown): string | null {
  if (onDemand === null) return null;
  if (!isFields(onDemand) || !isText(onDemand.ask) || !Array.isArray(onDemand.upstreams)) {
    return 'has an onDemand that cannot be read';
  }
  const { holdMs, refusedForSeconds, perClientPerMinute, totalPerMinute } = onDemand;
  if (![holdMs, refusedForSeconds, perClientPerMinute, totalPerMinute].every(isCount)) {
    return 'has an onDemand without its limits';
  }
  return upstreamsFault(onDemand.upstreams);
}

function edgeFault(edge: unknown): string | null {
  if (!isFields(edge)) return 'has no limits for edges';
  for (const group of ['limits', 'timeouts'] as const) {
    const given = edge[group];
    if (!isFields(given)) return `has no ${group} for edges`;
    for (const name of Object.keys(defaultEdgeSettings[group])) {
      if (!isCount(given[name])) return `has no number as ${name}`;
    }
  }
  const { deny, notReadyAfterMs } = edge;
  if (!Array.isArray(deny) || !deny.every(isText)) return 'has a deny list that cannot be read';
  return notReadyAfterMs === null || isCount(notReadyAfterMs) ? null : 'has no number as notReadyAfterMs';
}
