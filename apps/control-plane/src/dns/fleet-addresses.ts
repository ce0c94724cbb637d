import { plainAddress, type SeenTraffic } from '@lockstep/contract';
import { DnsFailure } from './dns-failure.ts';
import type { DnsLookup, Lookups } from './dns-lookup.ts';
import { fleetTargets } from './fleet-targets.ts';

const renewMs = 60_000;

/**
 * What the fleet's names resolve to, as it was seen a minute ago at most: for what is said of hosts that nobody has looked at. Nobody waits
 * for it; before the first answer there is none.
 */
export interface FleetAddresses {
  current(edgeAddresses: readonly string[]): SeenTraffic['fleet'];
}

export function createFleetAddresses({
  lookups,
  now = Date.now,
}: {
  lookups: Lookups;
  now?: () => number;
}): FleetAddresses {
  let known: SeenTraffic['fleet'] = {};
  let asked: { of: readonly string[]; at: number } | null = null;

  async function renew(names: string[]): Promise<void> {
    const { fleet } = await findFleet(lookups.current(), names);
    // A name without an answer keeps the one that it had.
    known = Object.fromEntries(names.flatMap((name) => pairOf(name, fleet[name] ?? known[name])));
  }

  return {
    current(edgeAddresses) {
      const { names } = fleetTargets(edgeAddresses);
      if (names.length === 0) return none;
      if (asked?.of !== edgeAddresses || now() - asked.at > renewMs) {
        asked = { of: edgeAddresses, at: now() };
        renew(names).catch(() => {}); // it is tried again after a minute, and told of by each look
      }
      return known;
    },
  };
}

const none = {};

function pairOf(name: string, addresses: string[] | undefined): [string, string[]][] {
  return addresses === undefined ? [] : [[name, addresses]];
}

/** What the fleet's names resolve to, which an apex or a provider's ALIAS record leads to directly. */
export async function findFleet(
  lookup: DnsLookup,
  names: readonly string[],
): Promise<Pick<SeenTraffic, 'fleet' | 'fleetFailure'>> {
  const fleet: Record<string, string[]> = {};
  let fleetFailure: string | null = null;
  await Promise.all(
    names.map(async (name) => {
      try {
        fleet[name] = [...new Set((await lookup.addresses(name)).map(plainAddress))].sort();
      } catch (error) {
        if (!(error instanceof DnsFailure)) throw error;
        fleetFailure = error.message;
      }
    }),
  );
  return { fleet, fleetFailure };
}
