import { defaultEdgeSettings } from '../api/default-edge-settings.ts';
import type { Position } from '../shared/revision.ts';

const host = /^(?:\*\.)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const maxHostLength = 253;
const origin = /^https?:\/\/[^\s/?#@\\]+\/?$/;

type Fields = Record<string, unknown>;

/**
 * Why an edge cannot read a record, in words that follow its name; null when it can. An edge asks this of each record before it
 * puts it to use, a hundred thousand of them at its start, so no schema is run: what is checked is what an edge uses.
 */
export function recordFault(record: unknown): string | null {
  if (!isFields(record)) return 'is no record';
  const { kind, id, revision, value } = record;
  if (!isText(kind) || !isText(id)) return 'has no name';
  if (!isCount(revision)) return 'has no revision';
  if (!isFields(value)) return 'is empty';
  return Object.hasOwn(faults, kind) ? faults[kind]!(value, id) : null;
}

/** Why a change of a log entry cannot be read; null when it can. */
export function changeFault(change: unknown, revision: number): string | null {
  if (!isFields(change)) return 'is no change';
  if (change.op === 'delete') return isText(change.kind) && isText(change.id) ? null : 'has no name';
  if (change.op !== 'put') return 'is neither put nor deleted';
  return recordFault({ kind: change.kind, id: change.id, revision, value: change.value });
}

export function isPosition(value: unknown): value is Position {
  return (
    isFields(value) && isText(value.epoch) && isCount(value.number) && typeof value.commitId === 'string'
  );
}

/** By kind; other kinds are nothing that an edge reads. */
const faults: Record<string, (value: Fields, id: string) => string | null> = {
  route: ({ hosts, paths, upstreams }) =>
    hostsFault(hosts) ??
    (isList(paths) && paths.every((path) => isText(path) && path.startsWith('/'))
      ? null
      : 'has a path that does not start with /, or none') ??
    (isList(upstreams) ? upstreamsFault(upstreams) : 'has no upstreams'),

  certificate: ({ host: of, names, chain, sealedKey }) =>
    hostsFault(names === undefined ? [of] : names) ??
    (isText(chain) ? null : 'has no chain') ??
    (isText(sealedKey) ? null : 'has no key'),

  challenge({ type, host: of, token, keyAuthorization, certificate, sealedKey }, id) {
    if (type !== 'http-01' && type !== 'tls-alpn-01') return 'is of a type that is not known';
    if (token !== id) return 'has another token than its name';
    if (!isText(of)) return 'has no host';
    if (type === 'tls-alpn-01') {
      return isText(certificate) && isText(sealedKey) ? null : 'comes without its certificate';
    }
    return isText(keyAuthorization) ? null : 'has no key authorization';
  },

  staple({ fingerprint256, response, nextUpdate }) {
    if (!isText(fingerprint256)) return 'has no fingerprint';
    return (response === null || isText(response)) && (nextUpdate === null || isText(nextUpdate))
      ? null
      : 'has no response that can be read';
  },

  settings({ config }) {
    if (!isFields(config)) return 'has no settings';
    return onDemandFault(config.onDemand ?? null) ?? edgeFault(config.edge);
  },

  confirmation: ({ revision }) =>
    isFields(revision) && isText(revision.epoch) && isCount(revision.number) ? null : 'names no revision',
};

function hostsFault(hosts: unknown): string | null {
  if (!isList(hosts)) return 'has no hosts';
  for (const one of hosts) {
    if (!isText(one) || one.length > maxHostLength || !host.test(one)) return 'has a host that is none';
  }
  return null;
}

function upstreamsFault(upstreams: readonly unknown[]): string | null {
  for (const one of upstreams) {
    if (!isFields(one) || !isText(one.url) || !origin.test(one.url) || !URL.canParse(one.url)) {
      return 'has an upstream that is not an http or https address';
    }
  }
  return null;
}

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

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isList(value: unknown): value is unknown[] {
  return Array.isArray(value) && value.length > 0;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
