import { type Event, isWithinSuffixes, type StoredEvent, wildcardOf } from '@lockstep/contract';
import type { Bounds } from '../auth/bounds.ts';
import { iso } from '../time/iso.ts';

export interface EventFilter {
  /** Types, and families of them (`route.*`); left out: all. */
  types?: readonly string[] | undefined;
  routes?: readonly string[] | undefined;
  host?: string | undefined;
  tenant?: string | undefined;
}

/** Whether an event is one that is asked for, by somebody who may see it. */
export function matches(event: StoredEvent, filter: EventFilter, reader: Bounds | null = null): boolean {
  const { types, routes, host, tenant } = filter;
  if (reader !== null && !mayRead(event, reader)) return false;
  if (types !== undefined && !isOfTypes(event.type, types)) return false;
  if (tenant !== undefined && event.tenant !== tenant) return false;
  if (routes !== undefined && !routes.some((id) => listOf(event.data.routes).includes(id))) return false;
  return host === undefined || concerns(listOf(event.data.hosts), host);
}

/** Whether a type is one of these, or of their families (`route.*`). */
export function isOfTypes(type: string, types: readonly string[]): boolean {
  return types.includes(type) || types.includes(`${type.split('.')[0]}.*`);
}

/** What belongs to nobody in particular is for those who see everybody's. */
function mayRead({ tenant, data }: StoredEvent, reader: Bounds): boolean {
  if (reader.tenant !== null && tenant !== reader.tenant) return false;
  const { hostSuffixes } = reader;
  if (hostSuffixes === null) return true;
  const hosts = listOf(data.hosts);
  return hosts.length > 0 && hosts.every((host) => isWithinSuffixes(host, hostSuffixes));
}

/** An event as the API shows it. */
export function presentEvent({ id, at, type, subject, tenant, data }: StoredEvent): Event {
  return { id, type, occurredAt: iso(at), subject, ...(tenant === undefined ? {} : { tenant }), data };
}

function concerns(hosts: readonly string[], host: string): boolean {
  return hosts.includes(host) || hosts.includes(wildcardOf(host) ?? host);
}

const listOf = (value: unknown): readonly string[] => (Array.isArray(value) ? value : []);
