import { isIP } from 'node:net';
import { createAddressRanges, type DnsRequirement, type SeenTraffic } from '@lockstep/contract';
import { isRegistrable } from '../names/registered-domain.ts';
import { fleetTargets } from './fleet-targets.ts';
import { type DnsHost, destinationOf, dnsHostNamed } from './known-dns.ts';

export interface PointsHere {
  ok: boolean;
  /** A sentence that the owner of the host can act on. */
  detail: string;
  /** The records that lead it here, whether they are there or not. */
  requirements: DnsRequirement[];
}

/**
 * Whether a host leads to the fleet and nowhere else, by what was seen of it (null: nothing yet): its CNAME records reach one of the fleet's
 * names, or each of its addresses is the fleet's. One address that is not is enough for a no: the CA takes any of them. `edgeAddresses` are
 * IP addresses, ranges of them and names; none: not checked.
 */
export function pointsHere(
  host: string,
  seen: SeenTraffic | null,
  edgeAddresses: readonly string[],
): PointsHere {
  if (edgeAddresses.length === 0) return { ok: true, detail: 'not checked', requirements: [] };
  const { addresses: given, ranges, names } = fleetTargets(edgeAddresses);
  const resolved = names.flatMap((name) => seen?.fleet[name] ?? []);
  const apex = isRegistrable(host) || seen?.zone === true;
  const dnsHost = dnsHostNamed(seen?.dnsHost ?? null);
  const wanted = wantedRecords({ host, given, ranges, names, resolved, apex, dnsHost });
  const none = { ok: false, hint: null, found: null };
  const rows = wanted.records.map((record) => ({ host, ...record, purpose: 'traffic' as const, ...none }));
  const no = (what: string, requirements: DnsRequirement[] = rows): PointsHere => {
    const detail = `${host} ${what}`;
    const explained = requirements.map((row) => (row.ok ? row : { ...row, hint: row.hint ?? detail }));
    return { ok: false, detail, requirements: explained };
  };
  if (seen === null) return { ok: false, detail: `${host} was not looked at yet`, requirements: rows };
  const { chain, addresses, failure } = seen;
  if (failure !== null) return no(`could not be checked: ${failure}`);

  const reached = chain.find((target) => names.includes(target));
  const present = addresses ?? [];
  const ours = createAddressRanges([...given, ...ranges, ...resolved]);
  const foreign = reached === undefined ? present.filter((address) => !ours.has(address)) : [];
  const ok = reached !== undefined || (present.length > 0 && foreign.length === 0);
  const there = rows.map((row, index): DnsRequirement => {
    const isMine = (address: string) =>
      row.type === 'CNAME' || typeOf(address) === row.type || (index === 0 && !isAsked(rows, address));
    const found = chain.length > 0 ? chain.slice(0, 1) : present.filter(isMine);
    const right = chain.length === 0 && present.includes(row.value) && !foreign.some(isMine);
    return { ...row, found, ok: ok || right };
  });
  if (ok) return { ok, detail: `${host} leads to ${reached ?? present.join(', ')}`, requirements: there };

  const { advice } = wanted;
  if (addresses === null) return no(`leads to ${chain.at(-1)}. ${advice}`, there);
  if (present.length === 0 && chain.length > 0)
    return no(`leads to ${nameTarget(chain)}, which has no address. ${advice}`, there);
  if (present.length === 0) return no(`has no address in the DNS yet. ${advice}`, there);
  if (seen.fleetFailure !== null) {
    const elsewhere = foreign.join(', ');
    return no(
      `leads to ${elsewhere}; whether that is here could not be checked: ${seen.fleetFailure}`,
      there,
    );
  }
  const { text, destination } = describeElsewhere(chain, foreign);
  if (foreign.length < present.length) {
    return no(
      `leads here, but also to ${text}: visitors and the certificate authority ` +
        `may be sent there. Remove the ${recordTypes(foreign)} record${foreign.length > 1 ? 's' : ''} ` +
        `with ${foreign.join(', ')}.`,
      there,
    );
  }
  const isProxied = destination?.name === 'Cloudflare' && chain.length === 0;
  const last = isProxied
    ? 'At Cloudflare it has to be “DNS only”, not “Proxied”; where the record is there already, that switch is all there is to do.'
    : destination?.kind === 'parking'
      ? 'Remove what is there now, and turn off parking and forwarding of the domain.'
      : 'Remove what is there now.';
  return no(`leads to ${text}. ${advice} ${last}`, there);
}

/** Where a host leads that does not lead here, and what of that is known. */
function describeElsewhere(chain: string[], foreign: string[]) {
  const target = chain.at(-1);
  const found =
    target === undefined ? foreign.map(destinationOf) : [destinationOf(target) ?? destinationOf(chain[0]!)];
  const [destination = null] = new Set(found).size === 1 ? found : [];
  const where = target === undefined ? foreign.join(', ') : `${target} (${foreign.join(', ')})`;
  if (destination === null) return { text: `${where}, which is elsewhere`, destination };
  const { what } = destination;
  if (target !== undefined) return { text: `${where}, which is ${what}`, destination };
  return { text: `${where}, ${foreign.length > 1 ? 'addresses' : 'an address'} of ${what}`, destination };
}

function nameTarget(chain: string[]): string {
  const target = chain.at(-1)!;
  const what = destinationOf(target)?.what;
  return what === undefined ? target : `${target} (${what})`;
}

/** What is asked of a host that is reached through a CDN: to lead somewhere. Where that is, and whether the CDN leads here, the DNS does not tell. */
export function leadsToCdn(host: string, seen: SeenTraffic): Pick<PointsHere, 'ok' | 'detail'> {
  const no = (what: string) => ({ ok: false, detail: `${host} ${what}` });
  const { chain, failure } = seen;
  if (failure !== null) return no(`could not be checked: ${failure}`);
  const addresses = seen.addresses ?? [];
  const target = chain.at(-1);
  if (addresses.length > 0) {
    const to = target ?? addresses.join(', ');
    return { ok: true, detail: `${host} leads to ${to}, which is taken for its CDN` };
  }
  const advice = 'Create the records that its CDN asks for.';
  if (target === undefined) return no(`has no address in the DNS yet. ${advice}`);
  return no(`leads to ${target}, which has no address. ${advice}`);
}

interface Wanted {
  host: string;
  given: string[];
  ranges: string[];
  names: string[];
  /** The addresses of the fleet's names. */
  resolved: string[];
  apex: boolean;
  dnsHost: DnsHost | null;
}

function wantedRecords({ host, given, ranges, names, resolved, apex, dnsHost }: Wanted) {
  const record = (type: 'A' | 'AAAA' | 'CNAME', value: string) => ({ type, name: host, value });
  const target = names.find((name) => name !== host);
  // Where a zone begins there is SOA and NS, and beside a CNAME there may be nothing (RFC 1034, section 3.6.2).
  if (target !== undefined && !apex) {
    return {
      records: [record('CNAME', target)],
      advice: `Create a CNAME record for ${host} with the value ${target}.`,
    };
  }
  const values = [...new Set(given.length > 0 ? given : resolved)];
  const records = values.map((value) => record(typeOf(value), value));
  const addresses = records.map(({ type, value }) => `${type} ${value}`).join(' or ');
  const alias = target === undefined ? null : aliasFor(target, dnsHost, addresses !== '');
  const choices = [
    ...(addresses === '' ? [] : [`the record ${addresses}`]),
    ...(alias === null ? [] : [alias]),
  ];
  if (choices.length === 0) {
    return {
      records,
      advice: `Create for ${host} a record with an address of the fleet; they are in ${ranges.join(', ')}.`,
    };
  }
  return { records, advice: `Create for ${host} ${choices.join(', or ')}.` };
}

/** What an apex can have in place of a CNAME, as its DNS has it; null: it has nothing of the kind, and need not. */
function aliasFor(target: string, dnsHost: DnsHost | null, replaceable: boolean): string | null {
  const generic = `an ALIAS (ANAME, flattened CNAME) record to ${target}`;
  if (dnsHost === null || dnsHost.apex === undefined)
    return replaceable ? `${generic}, where your DNS provider has that` : generic;
  const { name, apex } = dnsHost;
  if (apex === false) return replaceable ? null : generic;
  if (apex === true) return `${generic}, which ${name} has`;
  return `${apex === 'CNAME' ? 'a' : 'an'} ${apex} record to ${target}, which ${name} has for this`;
}

function isAsked(rows: DnsRequirement[], address: string): boolean {
  return rows.some(({ type }) => type === typeOf(address));
}

function typeOf(address: string): 'A' | 'AAAA' {
  return isIP(address) === 4 ? 'A' : 'AAAA';
}

function recordTypes(addresses: string[]): string {
  return [...new Set(addresses.map(typeOf))].sort().join(' and ');
}
