import type { SeenDns } from '@lockstep/contract';

/** What a look found for a host that has these addresses and nothing else. */
export function seenAddresses(...addresses: string[]): SeenDns {
  const traffic = {
    chain: [],
    addresses,
    failure: null,
    zone: false,
    fleet: {},
    fleetFailure: null,
    keeper: null,
  };
  return { at: '2026-01-01T00:00:00.000Z', traffic, caa: null, challenge: [] };
}
