import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type ConfigStore, createRedisStore, createSqliteStore } from '@lockstep/store';
import { type RedisServer, testFolder, waitFor } from '@lockstep/testkit';
import type { Test } from 'tap';

/** One empty store of a backend, for one test. */
export interface Bench {
  store: ConfigStore;
  /** Another process' view of the same store, opened; the same object where a backend has one process only. */
  another(): Promise<ConfigStore>;
  /** Returns when the store's clock is `ms` further. */
  pass(ms: number): Promise<void>;
}

export interface Backend {
  name: string;
  bench(t: Test, options?: { logEntries?: number; create?: boolean }): Promise<Bench>;
}

export const sqlite: Backend = {
  name: 'sqlite',
  async bench(t, { logEntries = 10_000, create = true } = {}) {
    let clock = Date.parse('2026-11-24T00:00:00Z');
    const store = createSqliteStore({ path: join(testFolder(t), 'store.db'), now: () => clock, logEntries });
    t.teardown(() => store.close());
    if (create) await store.open({ create: true, expectedEpoch: null });
    return {
      store,
      another: async () => store,
      async pass(ms) {
        clock += ms;
      },
    };
  },
};

export function redis(name: string, url: () => string): Backend {
  return {
    name,
    async bench(t, { logEntries = 10_000, create = true } = {}) {
      const prefix = `test-${randomUUID()}`;
      const connect = () => {
        const store = createRedisStore({ url: url(), prefix, logEntries });
        t.teardown(() => store.close());
        return store;
      };
      const store = connect();
      if (create) await store.open({ create: true, expectedEpoch: null });
      return {
        store,
        async another() {
          const other = connect();
          await other.open({ create: false, expectedEpoch: store.epoch });
          return other;
        },
        async pass(ms) {
          const until = (await store.now()) + ms;
          await waitFor(async () => (await store.now()) >= until, { what: 'the clock of Redis' });
        },
      };
    },
  };
}

export function redisOn(server: RedisServer): Backend {
  return redis('redis', () => server.url);
}
