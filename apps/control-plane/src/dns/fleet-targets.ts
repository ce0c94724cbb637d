import { isIP } from 'node:net';
import { type AddressRanges, createAddressRanges, plainAddress } from '@lockstep/contract';

/** What a host may lead to, by kind, as the settings' `edgeAddresses` have it. */
export interface FleetTargets {
  addresses: string[];
  ranges: string[];
  names: string[];
  /** The addresses and ranges; not what the names resolve to. */
  given: AddressRanges;
}

/** The same list of the settings is asked about for each host of a page. */
const known = new WeakMap<readonly string[], FleetTargets>();

export function fleetTargets(edgeAddresses: readonly string[]): FleetTargets {
  const before = known.get(edgeAddresses);
  if (before !== undefined) return before;
  const addresses: string[] = [];
  const ranges: string[] = [];
  const names: string[] = [];
  for (const target of edgeAddresses) {
    if (isIP(target) !== 0) addresses.push(plainAddress(target));
    else if (target.includes('/')) ranges.push(target);
    else names.push(target.toLowerCase().replace(/\.$/, ''));
  }
  const targets = { addresses, ranges, names, given: createAddressRanges([...addresses, ...ranges]) };
  known.set(edgeAddresses, targets);
  return targets;
}
