import { randomBytes } from 'node:crypto';
import { isIP, SocketAddress } from 'node:net';
import { createAddressRanges, type DnsRequirement } from '@lockstep/contract';
import { getDomain } from 'tldts';
import { cnameChain } from './cname-chain.ts';
import { DnsFailure } from './dns-failure.ts';
import type { DnsLookup } from './dns-lookup.ts';

export interface PointsHere {
  ok: boolean;
  /** A sentence that the owner of the host can act on. */
  detail: string;
  /** The records to create; empty when all is well. */
  requirements: DnsRequirement[];
}

/**
 * Whether a host leads to the fleet and nowhere else: its CNAME records reach one of the fleet's names, or each of its
 * addresses is the fleet's. One address that is not is enough for a no: the CA takes any of them. `edgeAddresses` are IP
 * addresses, ranges of them and names; none: not checked. Never rejects for what the DNS says or does not say.
 */
export async function checkPointsHere(
  lookup: DnsLookup,
  host: string,
  edgeAddresses: readonly string[],
): Promise<PointsHere> {
  if (edgeAddresses.length === 0) return { ok: true, detail: 'not checked', requirements: [] };
  const given = edgeAddresses.filter((address) => isIP(address)).map(plainAddress);
  const ranges = edgeAddresses.filter((address) => address.includes('/'));
  const names = edgeAddresses.filter((address) => !isIP(address) && !address.includes('/')).map(plainName);
  const name = nameToAsk(host);

  const found = await findTarget(lookup, name, names);
  if ('failure' in found) {
    const apex = isRegistrable(host);
    const resolved = apex ? (await findFleet(lookup, names)).addresses : [];
    const { requirements } = instruct({ host, given, ranges, names, resolved, apex, found: [] });
    return { ok: false, detail: `${host} could not be checked: ${found.failure}`, requirements };
  }
  const { chain, addresses } = found;
  const reached = chain.find((target) => names.includes(target));
  if (reached !== undefined) {
    return { ok: true, detail: `${host} leads to ${reached}`, requirements: [] };
  }
  const fleet = await findFleet(lookup, names);
  const ours = createAddressRanges([...given, ...ranges, ...fleet.addresses]);
  const foreign = addresses.filter((address) => !ours.has(address));
  if (addresses.length > 0 && foreign.length === 0) {
    return { ok: true, detail: `${host} leads to ${addresses.join(', ')}`, requirements: [] };
  }

  const apex = isRegistrable(host) || (chain.length === 0 && (await isZone(lookup, host)));
  const { requirements, advice } = instruct({
    host,
    given,
    ranges,
    names,
    resolved: fleet.addresses,
    apex,
    found: chain.length > 0 ? chain.slice(0, 1) : addresses,
  });
  const notHere = (what: string) => ({ ok: false, detail: `${host} ${what}`, requirements });
  if (addresses.length === 0) {
    if (chain.length === 0) return notHere(`has no address in the DNS yet. ${advice}`);
    return notHere(`leads to ${chain.at(-1)}, which has no address. ${advice}`);
  }
  if (fleet.failure !== null) {
    return notHere(
      `leads to ${foreign.join(', ')}; whether that is here could not be checked: ${fleet.failure}`,
    );
  }
  if (foreign.length < addresses.length) {
    return notHere(
      `leads here, but also to ${foreign.join(', ')}, which is elsewhere: visitors and the certificate authority ` +
        `may be sent there. Remove the ${recordTypes(foreign)} record${foreign.length > 1 ? 's' : ''} ` +
        `with ${foreign.join(', ')}.`,
    );
  }
  return notHere(`leads to ${foreign.join(', ')}, which is elsewhere. ${advice} Remove what is there now.`);
}

/**
 * The look at a host that is reached through a CDN: it has to lead somewhere. Where that is, and whether the CDN leads here, the DNS does not
 * tell. Never rejects for what the DNS says or does not say.
 */
export async function checkLeadsToCdn(lookup: DnsLookup, host: string): Promise<PointsHere> {
  const found = await findTarget(lookup, nameToAsk(host), []);
  const no = (detail: string) => ({ ok: false, detail: `${host} ${detail}`, requirements: [] });
  if ('failure' in found) return no(`could not be checked: ${found.failure}`);
  const { chain, addresses } = found;
  const target = chain.at(-1);
  if (addresses.length > 0) {
    const to = target ?? addresses.join(', ');
    return { ok: true, detail: `${host} leads to ${to}, which is taken for its CDN`, requirements: [] };
  }
  const advice = 'Create the records that its CDN asks for.';
  if (target === undefined) return no(`has no address in the DNS yet. ${advice}`);
  return no(`leads to ${target}, which has no address. ${advice}`);
}

/** A wildcard is answered for the names that do not exist themselves (RFC 4592). */
function nameToAsk(host: string): string {
  return host.startsWith('*.') ? `lockstep-${randomBytes(8).toString('hex')}.${host.slice(2)}` : host;
}

type Target = { chain: string[]; addresses: string[] } | { failure: string };

async function findTarget(lookup: DnsLookup, name: string, names: string[]): Promise<Target> {
  try {
    const chain = await cnameChain(lookup, name);
    if (chain.some((target) => names.includes(target))) return { chain, addresses: [] };
    return { chain, addresses: (await lookup.addresses(name)).map(plainAddress) };
  } catch (error) {
    if (error instanceof DnsFailure) return { failure: error.message };
    throw error;
  }
}

/** What the fleet's names resolve to, which an apex or a provider's ALIAS record leads to directly. */
async function findFleet(lookup: DnsLookup, names: string[]) {
  const addresses: string[] = [];
  let failure: string | null = null;
  await Promise.all(
    names.map(async (name) => {
      try {
        addresses.push(...(await lookup.addresses(name)).map(plainAddress));
      } catch (error) {
        if (!(error instanceof DnsFailure)) throw error;
        failure = error.message;
      }
    }),
  );
  return { addresses: [...new Set(addresses)].sort(), failure: failure as string | null };
}

/** A delegated subdomain is an apex like a registered domain. */
async function isZone(lookup: DnsLookup, host: string): Promise<boolean> {
  return lookup.soa(host).then(
    (records) => records.length > 0,
    () => false,
  );
}

function isRegistrable(host: string): boolean {
  return getDomain(host, { allowPrivateDomains: true }) === host && !host.startsWith('*.');
}

interface Instruct {
  host: string;
  given: string[];
  ranges: string[];
  names: string[];
  /** The addresses of the fleet's names. */
  resolved: string[];
  apex: boolean;
  found: string[];
}

function instruct({ host, given, ranges, names, resolved, apex, found }: Instruct) {
  const record = (type: DnsRequirement['type'], value: string) => ({ host, type, name: host, value, found });
  const target = names.find((name) => name !== host);
  // Where a zone begins there is SOA and NS, and beside a CNAME there may be nothing (RFC 1034, section 3.6.2).
  if (target !== undefined && !apex) {
    return {
      requirements: [record('CNAME', target)],
      advice: `Create a CNAME record for ${host} with the value ${target}.`,
    };
  }
  const values = given.length > 0 ? given : resolved;
  const requirements = values.map((value) => record(isIP(value) === 4 ? 'A' : 'AAAA', value));
  const addresses = requirements.map(({ type, value }) => `${type} ${value}`).join(' or ');
  const alias = target === undefined ? null : `an ALIAS (ANAME, flattened CNAME) record to ${target}`;
  const choices = [
    ...(addresses === '' ? [] : [`the record ${addresses}`]),
    ...(alias === null ? [] : [addresses === '' ? alias : `${alias}, where your DNS provider has that`]),
  ];
  if (choices.length === 0) {
    return {
      requirements,
      advice: `Create for ${host} a record with an address of the fleet; they are in ${ranges.join(', ')}.`,
    };
  }
  return { requirements, advice: `Create for ${host} ${choices.join(', or ')}.` };
}

function recordTypes(addresses: string[]): string {
  const types = addresses.map((address) => (isIP(address) === 4 ? 'A' : 'AAAA'));
  return [...new Set(types)].sort().join(' and ');
}

function plainAddress(address: string): string {
  return isIP(address) === 6 ? new SocketAddress({ address, family: 'ipv6' }).address : address;
}

function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}
