import { createBoundary } from '@lockstep/contract';
import { createSealers, generateSecretKey } from '@lockstep/pki';
import { createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { createChangeHub } from '../../src/changes/change-hub.ts';
import { commit } from '../../src/changes/writes.ts';
import { createEventHistory } from '../../src/events/event-history.ts';
import { createArrivals } from '../../src/webhooks/arrivals.ts';
import { createWebhookService } from '../../src/webhooks/webhook-service.ts';
import { byAdmin } from '../by-admin.ts';

const log = pino({ level: 'silent' });

t.test(
  'the history is read for as long as there are webhooks, and each gets what comes from its making on',
  async (t) => {
    const store = createSqliteStore({ path: ':memory:' });
    await store.open({ create: true, expectedEpoch: null });
    let reads = 0;
    const read: Pick<typeof store, 'readEvents'> = {
      readEvents(page) {
        reads += 1;
        return store.readEvents(page);
      },
    };
    const hub = await createChangeHub({ store, log });
    const history = createEventHistory({ store: read, hub, log });
    const boundary = createBoundary(log);
    const taken: string[] = [];
    let watching = 0;
    // No look but the first: what comes is heard of.
    const arrivals = createArrivals({
      store,
      hub,
      history: {
        ...history,
        watch(listener) {
          const unwatch = history.watch(listener);
          watching += 1;
          return () => {
            unwatch();
            watching -= 1;
          };
        },
      },
      boundary,
      lookMs: 3_600_000,
      changed() {},
      take: ({ id }) => taken.push(id),
    });
    t.teardown(async () => {
      arrivals.close();
      history.close();
      await hub.close();
      await store.close();
    });
    let heard = 0;
    hub.watch((entry) => {
      heard = entry?.position.number ?? heard;
    });
    let told = 0;
    async function tell(): Promise<void> {
      told += 1;
      const { number } = await commit(store, {
        ...byAdmin,
        changes: [{ op: 'put', kind: 'told', id: 'test', value: { state: String(told), mark: '' } }],
        events: [{ type: 'route.updated', subject: { kind: 'route', id: 'r' }, data: { routes: ['r'] } }],
      });
      await waitFor(() => heard >= number, { what: 'the commit to be heard of' });
      for (let turns = 0; turns < 10; turns += 1) await new Promise(setImmediate);
    }
    const service = createWebhookService({
      store,
      sealer: createSealers(generateSecretKey()).controlPlanes,
      targets: { check: () => {} },
      plainAllowed: () => true,
      now: Date.now,
    });

    for (const _ of [1, 2, 3]) await tell();
    t.equal(reads, 0);
    for (const round of ['the first', 'another, after a while without any']) {
      const { id } = await service.make(byAdmin, { url: 'http://127.0.0.1:9/' });
      await waitFor(() => taken.includes(id), { what: `${round} to be looked at` });
      taken.length = 0;
      await tell();
      await waitFor(() => taken.includes(id), { what: `what is for ${round}` });
      await service.remove(byAdmin, id);
      await waitFor(() => watching === 0, { what: 'it to be known that it is gone' });
      await tell(); // what was being read is read by then
      const before = reads;
      for (const _ of [1, 2, 3]) await tell();
      t.equal(reads, before);
      taken.length = 0;
    }
  },
);
