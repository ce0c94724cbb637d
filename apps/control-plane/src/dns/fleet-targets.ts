import { isIP, SocketAddress } from 'node:net';

/** What a host may lead to, by kind, as the settings' `edgeAddresses` have it. */
export interface FleetTargets {
  addresses: string[];
  ranges: string[];
  names: string[];
}

export function fleetTargets(edgeAddresses: readonly string[]): FleetTargets {
  const targets: FleetTargets = { addresses: [], ranges: [], names: [] };
  for (const target of edgeAddresses) {
    if (isIP(target) === 6)
      targets.addresses.push(new SocketAddress({ address: target, family: 'ipv6' }).address);
    else if (isIP(target) === 4) targets.addresses.push(target);
    else if (target.includes('/')) targets.ranges.push(target);
    else targets.names.push(target.toLowerCase().replace(/\.$/, ''));
  }
  return targets;
}
