import { addTraffic, durationBucket, noTraffic, type Traffic, trafficMinutes } from '@lockstep/contract';
import { LRUCache } from 'lru-cache';

/** A route takes up to 8 kB, where it is asked for all the time; those that were asked for last keep their place. */
const mostRoutes = 4_000;
const slotMs = 10_000;

/** What is kept of finished slots: as many as `trafficMinutes` reach back to, in ever larger sums. */
const tiers = [
  { everyMs: slotMs, kept: 6 },
  { everyMs: 60_000, kept: 5 },
  { everyMs: 600_000, kept: 6 },
] as const;

interface Sum {
  /** Which of the times of its length, since the process began. */
  at: number;
  traffic: Traffic;
}

/** What a worker served of each route in the last hour. */
export interface TrafficTable {
  /** `now` and durations by `performance.now()`. */
  count(
    route: string,
    now: number,
    durationMs: number,
    failed: boolean,
    bytesIn: number,
    bytesOut: number,
  ): void;
  /** Of each of `trafficMinutes`, or up to a fifth of it more. */
  of(route: string, now: number): Traffic[];
}

class RouteTraffic {
  #current: Sum = { at: -1, traffic: noTraffic() };
  readonly #finished: Sum[][] = tiers.map(() => []);

  at(now: number): Traffic {
    const at = Math.floor(now / slotMs);
    if (this.#current.at !== at) {
      if (this.#current.traffic.requests > 0) this.#finish();
      this.#current = { at, traffic: noTraffic() };
    }
    return this.#current.traffic;
  }

  /** Once in ten seconds at most, so that a request is counted in one place. */
  #finish(): void {
    for (const [i, { everyMs, kept }] of tiers.entries()) {
      const sums = this.#finished[i]!;
      const at = Math.floor((this.#current.at * slotMs) / everyMs);
      let last = sums.at(-1);
      if (last?.at !== at) {
        last = { at, traffic: noTraffic() };
        sums.push(last);
        if (sums.length > kept + 1) sums.shift();
      }
      addTraffic(last.traffic, this.#current.traffic);
    }
  }

  read(now: number): Traffic[] {
    this.at(now);
    return trafficMinutes.map((minutes, i) => {
      const { everyMs } = tiers[i]!;
      const since = Math.floor((now - minutes * 60_000) / everyMs);
      const sum = noTraffic();
      addTraffic(sum, this.#current.traffic);
      for (const { at, traffic } of this.#finished[i]!) if (at >= since) addTraffic(sum, traffic);
      return sum;
    });
  }
}

export function createTrafficTable(): TrafficTable {
  // Not by `max`, which takes the room for all of them at once.
  const routes = new LRUCache<string, RouteTraffic>({ maxSize: mostRoutes, sizeCalculation: () => 1 });
  return {
    count(route, now, durationMs, failed, bytesIn, bytesOut) {
      let counted = routes.get(route);
      if (counted === undefined) {
        counted = new RouteTraffic();
        routes.set(route, counted);
      }
      const traffic = counted.at(now);
      traffic.requests += 1;
      if (failed) traffic.errors += 1;
      traffic.bytesIn += bytesIn;
      traffic.bytesOut += bytesOut;
      traffic.durations[durationBucket(durationMs)]! += 1;
    },
    of: (route, now) => (routes.get(route) ?? new RouteTraffic()).read(now),
  };
}
