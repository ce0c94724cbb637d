import { AppError, type EventType, type StoredEvent } from '@lockstep/contract';
import type { Commit, ConfigStore, Lease } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import type t from 'tap';
import { createChangeHub } from '../../src/changes/change-hub.ts';
import { createRecentCommits } from '../../src/changes/recent-commits.ts';
import { createObserver } from '../../src/events/observer.ts';
import { createFleet } from '../../src/fleet/fleet.ts';
import { createFleetWatch } from '../../src/fleet/fleet-status.ts';
import { createStoreWatch } from '../../src/fleet/store-watch.ts';
import { createKnownIssuers } from '../../src/issuers/known-issuers.ts';
import { defaultSettings } from '../../src/settings/settings-service.ts';

const log = pino({ level: 'silent' });

/** When the one who observes dies: as it is about to tell of something the first time, or as soon as it has. */
export type Death = 'never' | 'before' | 'after';

export interface ObserversOptions {
  store: ConfigStore;
  now: () => number;
  death: Death;
  /** Of whoever has died: its leases run out, and what it has begun never ends. */
  onDeath?: () => void;
}

/** The observing part of two control planes over one store; of those that die each time somebody takes the place. */
export async function startObservers(
  test: Pick<typeof t, 'teardown'>,
  { store, now, death, onDeath = () => {} }: ObserversOptions,
) {
  const known = createKnownIssuers({ store, acme: null, rootsPem: null });
  const clock = { now, skewMs: () => 0, fault: () => null, watch: () => () => {}, close: () => {} };
  const grave = Promise.withResolvers<never>();
  grave.promise.catch(() => {});
  const died = new Set<string>();
  const closers: (() => unknown)[] = [];
  test.teardown(async () => {
    grave.reject(new AppError('lease_lost', 'it has died'));
    for (const close of closers.reverse()) await close();
  });

  async function start(): Promise<void> {
    let dead = false;
    const die = (): Promise<never> => {
      if (!dead) {
        dead = true;
        start().then(onDeath, grave.reject);
      }
      return grave.promise;
    };
    async function commit(wanted: Commit) {
      if (dead) return die();
      const types = (wanted.events ?? []).map(({ type }) => type).filter((type) => !died.has(type));
      if (death === 'never' || types.length === 0) return store.commit(wanted);
      died.add(types[0]!);
      if (death === 'after') await store.commit(wanted);
      return die();
    }
    const own: Partial<ConfigStore> = {
      commit,
      acquireLease: (name, ttlMs) => (dead ? grave.promise : store.acquireLease(name, ttlMs)),
      renewLease: (lease: Lease, ttlMs) => (dead ? grave.promise : store.renewLease(lease, ttlMs)),
      releaseLease: async (lease: Lease) => (dead ? undefined : store.releaseLease(lease)),
    };
    const mortal = new Proxy(store, {
      get: (target, name) => own[name as keyof ConfigStore] ?? Reflect.get(target, name, target),
    });
    const commits = createRecentCommits({ now });
    const hub = await createChangeHub({ store, commits, log });
    closers.push(hub.close);
    const fleet = await createFleet({ store, clock, settings: defaultSettings, log });
    closers.push(fleet.close);
    const storeWatch = createStoreWatch({ store, now, log });
    closers.push(storeWatch.close);
    const fleetWatch = createFleetWatch({
      ...{ fleet, commits, storeWatch, clock, log },
      turns: { wentBack: () => [], close: () => {} },
      keys: () => ({ current: null, rotation: null }) as never,
    });
    closers.push(fleetWatch.close);
    closers.push(createObserver({ store: mortal, hub, fleet, fleetWatch, known, now, log }).close);
  }

  /** Also those that are too old to be kept, as the clock goes. */
  const seen = new Map<string, StoredEvent>();

  async function all(): Promise<StoredEvent[]> {
    for (const event of (await store.readEvents({ limit: 1_000 })).items) seen.set(event.id, event);
    return [...seen.values()];
  }

  const of = (events: StoredEvent[], type: EventType, id?: string) =>
    events.filter((event) => event.type === type && (id === undefined || event.subject.id === id));

  await Promise.all([start(), start()]);
  return {
    died,
    /** Waits until so many of the type were told; `meanwhile` is done again and again. */
    async until(type: EventType, count = 1, meanwhile: () => unknown = () => {}): Promise<void> {
      await waitFor(
        async () => {
          await meanwhile();
          return of(await all(), type).length >= count;
        },
        { what: `${count} ${type}`, intervalMs: 50 },
      );
    },
    /** How often each type was told of each thing. */
    async counts(): Promise<Record<string, number>> {
      const counts: Record<string, number> = {};
      for (const { type, subject } of await all()) {
        const name = `${type} ${subject.id}`;
        counts[name] = (counts[name] ?? 0) + 1;
      }
      return counts;
    },
  };
}
