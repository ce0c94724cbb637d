import { lookup, promises } from 'node:dns';
import { type Address, interleave } from './dial.ts';

/** What does not say how long it holds (`/etc/hosts`, say) is looked at as often. */
const usualTtlMs = 30_000;
const shortestTtlMs = 1_000;
const longestTtlMs = 3_600_000;
/** A name that could not be resolved is tried again so soon, where there are addresses to go on with. */
const againAfterMs = 2_000;
/** So long a new connection waits for a look before it goes to the addresses of the last one. */
const mostWaitMs = 1_000;

export interface NameSource {
  lookUp(hostname: string): Promise<Address[]>;
  /** How long DNS says that its addresses hold; null where DNS does not know the name. */
  ttlMs(hostname: string): Promise<number | null>;
}

/** The addresses that a name stands for, looked at anew when they have held long enough and are needed. */
export interface UpstreamName {
  /** Gives all of them, in the order in which they are to be tried, which begins with another one each time. */
  resolve(callback: (error: Error | null, addresses: Address[]) => void): void;
  /** Their time is over. One comparison for whoever has connections: `refresh` then looks, once. */
  readonly due: boolean;
  refresh(): void;
  /** How many addresses there are. */
  readonly size: number;
  /** Addresses of this family are tried first from here on: one of them answered. */
  prefer(family: number): void;
  close(): void;
}

/** `onChange` gets all addresses whenever they are no longer the same ones. A name that cannot be resolved any more keeps its last. */
export function createUpstreamName(
  hostname: string,
  onChange: (addresses: ReadonlySet<string>) => void,
  source: NameSource = systemNames,
): UpstreamName {
  let addresses: Address[] = [];
  let turn = 0;
  let preferred = 0;
  let due = false;
  let looking: Promise<void> | null = null;
  let lookingSince = 0;
  let timer: NodeJS.Timeout | undefined;

  function holdFor(ms: number): void {
    clearTimeout(timer);
    due = false;
    timer = setTimeout(() => {
      due = true;
    }, ms).unref();
  }

  async function look(): Promise<void> {
    const ttl = source.ttlMs(hostname).catch(() => null);
    try {
      const found = await source.lookUp(hostname);
      const before = new Set(addresses.map(({ address }) => address));
      addresses = found;
      const now = new Set(found.map(({ address }) => address));
      if (before.size > 0 && (before.size !== now.size || [...now].some((one) => !before.has(one))))
        onChange(now);
    } catch (error) {
      if (addresses.length === 0) throw error;
      holdFor(againAfterMs);
      return;
    }
    holdFor(usualTtlMs);
    void ttl.then((ms) => {
      if (ms !== null) holdFor(Math.min(Math.max(ms, shortestTtlMs), longestTtlMs));
    });
  }

  function lookOnce(): Promise<void> {
    if (looking === null) {
      lookingSince = performance.now();
      looking = look().finally(() => {
        looking = null;
      });
    }
    return looking;
  }

  function inTurn(): Address[] {
    turn += 1;
    const of = (family: number) => {
      const all = addresses.filter((one) => one.family === family);
      const from = all.length === 0 ? 0 : turn % all.length;
      return [...all.slice(from), ...all.slice(0, from)];
    };
    const first = preferred === 0 ? addresses[0]!.family : preferred;
    return interleave([...of(first), ...of(first === 4 ? 6 : 4)]);
  }

  return {
    get due() {
      return due;
    },
    get size() {
      return addresses.length;
    },
    refresh() {
      due = false;
      lookOnce().catch(() => {});
    },
    resolve(callback) {
      const known = addresses.length > 0;
      const slow = looking !== null && performance.now() - lookingSince > mostWaitMs;
      if (known && (slow || (!due && looking === null))) {
        callback(null, inTurn());
        return;
      }
      let done = false;
      const settle = (error: Error | null) => {
        if (done) return;
        done = true;
        clearTimeout(enough);
        callback(error, error === null ? inTurn() : []);
      };
      const enough = known ? setTimeout(settle, mostWaitMs, null) : undefined;
      lookOnce().then(
        () => settle(null),
        (error) => settle(error),
      );
    },
    prefer(family) {
      preferred = family;
    },
    close() {
      clearTimeout(timer);
    },
  };
}

/** The names that this machine knows, in whatever way; and what DNS says of how long they hold, which nothing else does. */
const systemNames: NameSource = {
  lookUp: (hostname) =>
    new Promise((resolve, reject) => {
      lookup(hostname, { all: true }, (error, found) => (error === null ? resolve(found) : reject(error)));
    }),
  async ttlMs(hostname) {
    const resolver = new promises.Resolver({ timeout: 2_000, tries: 2 });
    const answers = await Promise.allSettled([
      resolver.resolve4(hostname, { ttl: true }),
      resolver.resolve6(hostname, { ttl: true }),
    ]);
    const ttls = answers.flatMap((one) =>
      one.status === 'fulfilled' ? one.value.map(({ ttl }) => ttl) : [],
    );
    return ttls.length === 0 ? null : Math.min(...ttls) * 1_000;
  },
};
