import {
  addressOfHost,
  type DnsRequirement,
  dnsPurposes,
  type SeenDns,
  type SeenTraffic,
} from '@lockstep/contract';
import { pointsHere } from './points-here.ts';

/** What is asked of a host, as the settings and its routes have it now. */
export interface HostDemands {
  edgeAddresses: readonly string[];
  /** What names among these resolve to, as far as that is known. */
  fleet?: SeenTraffic['fleet'];
  /** It is behind a CDN, so that it need not lead to the edges. */
  proxied: boolean;
  /** What proves whose it is, as it was found last. */
  ownership?: readonly DnsRequirement[] | undefined;
}

/**
 * The records that a host has to have in the DNS, those that are right too, by what the last look found (null: there was none). Each part of
 * what is asked gives its own; none looks anything up. Their order is the same each time.
 */
export function hostRequirements(
  host: string,
  seen: SeenDns | null,
  { edgeAddresses, fleet, proxied, ownership = [] }: HostDemands,
): DnsRequirement[] {
  const traffic = seen?.traffic ?? null;
  const rows = [
    ...(proxied || addressOfHost(host) !== null || traffic === 'elsewhere'
      ? []
      : pointsHere(host, traffic, edgeAddresses, fleet).requirements),
    ...(seen?.challenge ?? []).map(({ requirement }) => requirement),
    ...(seen?.caa ? [seen.caa] : []),
    ...ownership,
  ];
  return inTheirOrder(rows);
}

/** The records of one host in the order in which they are listed. */
export function inTheirOrder(rows: readonly DnsRequirement[]): DnsRequirement[] {
  return [...rows].sort((a, b) => placeOf(a) - placeOf(b) || compare(keyOf(a), keyOf(b)));
}

function placeOf({ purpose }: DnsRequirement): number {
  return dnsPurposes.indexOf(purpose);
}

function keyOf({ name, type, value }: DnsRequirement): string {
  return `${name} ${type} ${value}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
