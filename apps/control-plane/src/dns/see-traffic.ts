import { randomBytes } from 'node:crypto';
import { plainAddress, type SeenTraffic } from '@lockstep/contract';
import { isRegistrable } from '../names/registered-domain.ts';
import { cnameChain } from './cname-chain.ts';
import { DnsFailure } from './dns-failure.ts';
import type { DnsLookup } from './dns-lookup.ts';
import { findFleet } from './fleet-addresses.ts';
import { fleetTargets } from './fleet-targets.ts';
import type { Zones } from './zones.ts';

/**
 * Where a host leads, and what has to be known beside it to tell whether that is here. `edgeAddresses` are IP addresses, ranges of them and
 * names. `zones`: who runs its DNS is looked for too. Never rejects for what the DNS says or does not say.
 */
export async function seeTraffic(
  lookup: DnsLookup,
  host: string,
  edgeAddresses: readonly string[],
  zones?: Zones,
): Promise<SeenTraffic> {
  const { names } = fleetTargets(edgeAddresses);
  const registrable = isRegistrable(host);
  const found = await findTarget(lookup, nameToAsk(host), names);
  const { chain } = found;
  const reached = chain.some((target) => names.includes(target));
  // Whether its records are to be addresses does not depend on whether they are there.
  const mayBeZone = !registrable && chain.length === 0 && found.failure === null && !host.startsWith('*.');
  const zone = mayBeZone && (await isZone(lookup, host));
  const answered = found.failure === null;
  const wantsFleet = registrable || zone || (!reached && answered);
  // Whose servers are silent is not asked again for what is nice to know.
  const wantsKeeper = answered && !reached;
  const [{ fleet, fleetFailure }, keeper] = await Promise.all([
    wantsFleet ? findFleet(lookup, names) : nothingOfTheFleet,
    wantsKeeper ? zones?.of(host, zone).then((found) => found.keeper?.name ?? null) : null,
  ]);
  return { ...found, zone, fleet, fleetFailure, keeper: keeper ?? null };
}

const nothingOfTheFleet = { fleet: {}, fleetFailure: null };

/** One that is not the fleet's is enough for a no, and all of them are kept and shown. */
const mostAddresses = 50;

/** A wildcard is answered for the names that do not exist themselves (RFC 4592). */
function nameToAsk(host: string): string {
  return host.startsWith('*.') ? `lockstep-${randomBytes(8).toString('hex')}.${host.slice(2)}` : host;
}

type Target = Pick<SeenTraffic, 'chain' | 'addresses' | 'failure'>;

async function findTarget(lookup: DnsLookup, name: string, names: readonly string[]): Promise<Target> {
  let chain: string[] = [];
  try {
    chain = await cnameChain(lookup, name);
    if (chain.some((target) => names.includes(target))) return { chain, addresses: null, failure: null };
    // Servers deal them out in turns, and what is seen again is the same.
    const addresses = (await lookup.addresses(name)).map(plainAddress).sort().slice(0, mostAddresses);
    return { chain, addresses, failure: null };
  } catch (error) {
    if (error instanceof DnsFailure) return { chain, addresses: null, failure: error.message };
    throw error;
  }
}

/** A delegated subdomain is an apex like a registered domain. */
async function isZone(lookup: DnsLookup, host: string): Promise<boolean> {
  return lookup.soa(host).then(
    (records) => records.length > 0,
    () => false,
  );
}
