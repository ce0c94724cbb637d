import { clientKey, createAddressRanges, type EdgeSettings } from '@lockstep/contract';

/** So many of its connections have to be cut within this time; after a rest, one more is enough. */
const mostCuts = 5;
const withinMs = 10_000;
const firstRestMs = 10_000;
/** Each rest that follows soon is twice as long, up to this; so long without a cut, it is forgiven. */
const longestRestMs = 300_000;
/** Beyond so many the oldest is forgotten. */
const mostKnown = 10_000;

interface Offender {
  /** Since then so many. */
  since: number;
  cuts: number;
  cutAt: number;
  restMs: number;
  restsUntil: number;
}

export interface OffendersOptions {
  settings(): Pick<EdgeSettings, 'trustedProxies' | 'proxyProtocolFrom'>;
  now?: () => number;
}

/**
 * Clients whose connections are cut again and again because they attack. Each connection costs a handshake and what comes before the cut, so that
 * one who always comes again would have all of a worker's time: it gets none for a while.
 */
export interface Offenders {
  /** A connection of this address was cut. A proxy has many clients, and is none. */
  onCut(address: string): void;
  /** By its key (`clientKey`). */
  rests(client: string): boolean;
}

export function createOffenders({ settings, now = Date.now }: OffendersOptions): Offenders {
  const known = new Map<string, Offender>();

  function isProxy(address: string): boolean {
    const { trustedProxies = [], proxyProtocolFrom = [] } = settings();
    return createAddressRanges([...trustedProxies, ...proxyProtocolFrom]).has(address);
  }

  return {
    onCut(address) {
      if (address === '' || isProxy(address)) return;
      const client = clientKey(address);
      const at = now();
      let offender = known.get(client);
      if (offender === undefined || at - offender.cutAt > longestRestMs + offender.restMs)
        offender = { since: at, cuts: 0, cutAt: at, restMs: 0, restsUntil: 0 };
      else if (at - offender.since > withinMs) {
        offender.since = at;
        offender.cuts = 0;
      }
      offender.cuts += 1;
      offender.cutAt = at;
      known.delete(client);
      known.set(client, offender);
      if (known.size > mostKnown) known.delete(known.keys().next().value!);
      // Those that it had open already may be cut while it rests.
      if (at < offender.restsUntil || (offender.restMs === 0 && offender.cuts < mostCuts)) return;
      offender.restMs = Math.min(Math.max(offender.restMs * 2, firstRestMs), longestRestMs);
      offender.restsUntil = at + offender.restMs;
    },
    rests(client) {
      if (known.size === 0) return false;
      const offender = known.get(client);
      return offender !== undefined && now() < offender.restsUntil;
    },
  };
}
