import { createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { createChangeHub } from '../../src/changes/change-hub.ts';
import { commit } from '../../src/changes/writes.ts';
import { createEventHistory } from '../../src/events/event-history.ts';
import { byAdmin } from '../by-admin.ts';

const log = pino({ level: 'silent' });

t.test('whoever follows hears of what came while nobody did, without another commit', async (t) => {
  const store = createSqliteStore({ path: ':memory:' });
  await store.open({ create: true, expectedEpoch: null });
  const hub = await createChangeHub({ store, log });
  const history = createEventHistory({ store, hub, log });
  t.teardown(async () => {
    history.close();
    await hub.close();
    await store.close();
  });
  let heard = 0;
  hub.watch(() => {
    heard += 1;
  });
  let told = 0;
  async function tell(): Promise<void> {
    told += 1;
    await commit(store, {
      ...byAdmin,
      changes: [{ op: 'put', kind: 'told', id: 'test', value: { state: String(told), mark: '' } }],
      events: [{ type: 'route.updated', subject: { kind: 'route', id: `r${told}` }, data: { routes: [] } }],
    });
    await waitFor(() => heard === told, { what: 'the commit to be heard of' });
  }
  const idsAfter = async (after: string) =>
    (await history.read({ after, limit: 10 })).items.map(({ subject }) => subject.id);

  for (const round of [0, 1]) {
    const from = (await store.readEvents({ limit: 0 })).last;
    const first = `r${told + 1}`;
    const unwatch = history.watch(() => {});
    await tell();
    await waitFor(async () => (await idsAfter(from)).length === 1, { what: 'the first' });
    unwatch();
    await tell();
    await tell();
    let ids: string[] = [];
    const unwatchAgain = history.watch(async () => {
      ids = await idsAfter(from);
    });
    await waitFor(() => ids.length === 3, { what: `all of them, round ${round}` });
    t.same(ids, [first, `r${told - 1}`, `r${told}`]);
    unwatchAgain();
  }
});
