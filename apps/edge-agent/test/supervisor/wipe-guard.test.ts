import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { type ConfiguredStore, createConfiguredStore } from '../configured-store.ts';
import {
  appliedAt,
  presenceOf,
  serveThree,
  startTestEdge,
  statusOf,
  threeHosts,
} from '../start-test-edge.ts';
import { startUpstream } from '../start-upstream.ts';

t.test('a snapshot that would remove most hosts is held back until an operator confirms it', async (t) => {
  const configured = await createConfiguredStore();
  const dataDir = testFolder(t);
  const first = await startTestEdge(t, configured, { dataDir });
  await appliedAt(configured, await serveThree(t, configured));
  await first.edge.stop();

  const wiped = await createConfiguredStore(undefined, configured.edgeKey);
  const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
  const position = await wiped.serve('new', ['new.example.com'], [url]);
  const { addresses } = await startTestEdge(t, wiped, { dataDir });
  const { report } = await presenceOf(wiped, ({ report }) => report.held !== null, 'the snapshot to be held');
  t.match(report.held, {
    hosts: 3,
    removed: 3,
    revision: { epoch: position.epoch, number: position.number },
  });
  t.not(report.applied?.epoch, position.epoch);
  for (const host of threeHosts) t.equal(await statusOf(configured, addresses, host), 200);

  const other = { epoch: position.epoch, number: position.number - 1 };
  await wiped.commit({ op: 'put', kind: 'confirmation', id: 'edge-1', value: { revision: other } });
  await wiped.commit({
    op: 'put',
    kind: 'confirmation',
    id: 'edge-2',
    value: { revision: report.held!.revision },
  });
  const confirmed = await wiped.commit({
    op: 'put',
    kind: 'confirmation',
    id: 'edge-1',
    value: { revision: report.held!.revision },
  });
  await presenceOf(
    wiped,
    ({ report }) => report.held === null && report.applied?.number === confirmed.number,
    'the confirmed snapshot to be applied',
  );
  t.equal(await statusOf(wiped, addresses, 'new.example.com'), 200);
  await t.rejects(statusOf(configured, addresses, threeHosts[0]!));
});

t.test('a store whose records come back is followed again without a word from the operator', async (t) => {
  const configured = await createConfiguredStore();
  const dataDir = testFolder(t);
  const first = await startTestEdge(t, configured, { dataDir });
  await appliedAt(configured, await serveThree(t, configured));
  await first.edge.stop();

  const restored = await createConfiguredStore(undefined, configured.edgeKey);
  const { addresses } = await startTestEdge(t, restored, { dataDir });
  await restored.commit({
    op: 'put',
    kind: 'challenge',
    id: 'x',
    value: { type: 'http-01', host: 'x', token: 'x', keyAuthorization: 'x', createdAt: '' },
  });
  await presenceOf(restored, ({ report }) => report.held !== null, 'the snapshot to be held');
  const number = await serveThree(t, restored);
  await presenceOf(
    restored,
    ({ report }) => report.held === null && report.applied?.number === number,
    'it to go on',
  );
  t.equal(await statusOf(restored, addresses, threeHosts[0]!), 200);
});

t.test(
  'an edge whose hosts have no routes is guarded as well; brought certificates are a part of the whole',
  async (t) => {
    const configured = await createConfiguredStore();
    const { edgeKey } = configured;
    const dataDir = testFolder(t);
    const first = await startTestEdge(t, configured, { dataDir });
    const bring = async (store: ConfiguredStore, id: string, name: string) =>
      store.commit({
        op: 'put',
        kind: 'certificate',
        id,
        value: await configured.broughtRecord(id, name),
      });
    const issue = async (store: ConfiguredStore, host: string) =>
      store.commit({
        op: 'put',
        kind: 'certificate',
        id: host,
        value: await configured.certificateRecord(host),
      });
    for (const host of threeHosts) await issue(configured, host);
    await bring(configured, 'x', threeHosts[0]!);
    await appliedAt(configured, (await bring(configured, 'y', threeHosts[1]!)).number);
    await first.edge.stop();

    const wiped = await createConfiguredStore(undefined, edgeKey);
    await bring(wiped, 'x', threeHosts[0]!);
    await startTestEdge(t, wiped, { dataDir });
    const { report } = await presenceOf(
      wiped,
      ({ report }) => report.held !== null,
      'the snapshot to be held',
    );
    t.match(report.held, { hosts: 5, removed: 4 });
    for (const host of threeHosts.slice(0, 1)) await issue(wiped, host);
    const { number } = await issue(wiped, threeHosts[1]!);
    await presenceOf(
      wiped,
      ({ report }) => report.held === null && report.applied?.number === number,
      'a snapshot with more than half of them',
    );
  },
);
