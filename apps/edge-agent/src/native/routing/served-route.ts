import type { RouteRecord } from '@lockstep/contract';
import { type ClientCertificates, compileClientCertificates } from '../clients/client-certificates.ts';
import { compileRules, type RouteRules } from '../rules/route-rules.ts';
import type { RuleServices } from '../rules/rule-services.ts';
import type { UpstreamGroup, Upstreams } from '../upstreams/upstreams.ts';

export interface ServedRoute {
  readonly id: string;
  readonly revision: number;
  readonly upstreams: UpstreamGroup;
  /** What becomes of requests over port 80. */
  readonly plainHttp: NonNullable<RouteRecord['plainHttp']>;
  /** Null where it has none. */
  readonly rules: RouteRules | null;
  /** Null where it asks for none. */
  readonly clientCertificates: ClientCertificates | null;
  /** What it was made of, defaults included. */
  readonly record: RouteRecord;
}

export interface ServeOptions {
  id: string;
  revision: number;
  record: RouteRecord;
  upstreams: Upstreams;
  services: RuleServices;
  /** Given back by whoever called, once it is in nobody's way, unless its upstreams stay. */
  before: ServedRoute | null;
}

/**
 * Builds what a route is served by. One that leads where it led before keeps its upstreams, and whose turn it is among them. Throws, with
 * nothing kept, for a record that cannot be served by.
 */
export function serveRoute({ id, revision, record, upstreams, services, before }: ServeOptions): ServedRoute {
  const clientCertificates = compileClientCertificates(record);
  const rules = compileRules(id, record, before?.rules ?? null, services);
  const same = before !== null && leadsTo(before.record) === leadsTo(record);
  const leads = { ...record, upstreams: record.upstreams ?? [] };
  const group = same ? before.upstreams : upstreams.acquire(leads, id, before?.upstreams);
  const plainHttp = record.plainHttp ?? 'redirect';
  return { id, revision, upstreams: group, plainHttp, rules, clientCertificates, record };
}

function leadsTo({ upstreams, timeouts, limits, balance, health, retries }: RouteRecord): string {
  return JSON.stringify([upstreams, timeouts, limits, balance, health, retries]);
}
