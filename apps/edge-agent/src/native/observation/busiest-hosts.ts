/** Enough that those at the top are counted from their first request on. */
const counted = 500;

interface Host {
  host: string;
  requests: number;
  errors: number;
}

/**
 * How often each of the busiest hosts was asked for, by the algorithm Space-Saving (Metwally, Agrawal, El Abbadi 2005): where there is no more room,
 * the host that was asked for least gives its place, and its count, to the new one. So one may be counted too high by as much as the
 * least has, and none that is among the busiest is missed.
 */
export interface BusiestHosts {
  count(host: string, failed: boolean): void;
  /** The busiest, as `[host, requests, errors]`. */
  top(most: number): [host: string, requests: number, errors: number][];
}

export function createBusiestHosts(room = counted): BusiestHosts {
  const byHost = new Map<string, Host>();

  /** Seldom: with as much room as there are hosts, never. */
  function giveWay(): number {
    let least: Host | null = null;
    for (const one of byHost.values()) if (least === null || one.requests < least.requests) least = one;
    byHost.delete(least!.host);
    return least!.requests;
  }

  return {
    count(host, failed) {
      let one = byHost.get(host);
      if (one === undefined) {
        one = { host, requests: byHost.size < room ? 0 : giveWay(), errors: 0 };
        byHost.set(host, one);
      }
      one.requests += 1;
      if (failed) one.errors += 1;
    },
    top: (most) =>
      [...byHost.values()]
        .sort((a, b) => b.requests - a.requests)
        .slice(0, most)
        .map(({ host, requests, errors }) => [host, requests, errors]),
  };
}
