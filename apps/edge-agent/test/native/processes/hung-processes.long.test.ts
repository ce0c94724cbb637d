import { testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { createConfiguredStore } from '../../configured-store.ts';
import {
  appliedAt,
  childrenOf,
  isAlive,
  presenceOf,
  serveThree,
  startTestEdge,
  statusOf,
  threeHosts,
} from '../../start-test-edge.ts';

t.test('a worker that hangs does not count for its edge, and is replaced', async (t) => {
  const configured = await createConfiguredStore();
  const { edge, addresses } = await startTestEdge(t, configured, { dataDir: testFolder(t), workers: 2 });
  await appliedAt(configured, await serveThree(t, configured));
  const [pid] = childrenOf(edge.pid!);
  process.kill(pid!, 'SIGSTOP');
  const { report } = await presenceOf(
    configured,
    ({ report }) => report.workers.ready === 1,
    'the hung worker to be reported',
  );
  t.equal(report.applied, null);
  t.equal((await fetch(`http://127.0.0.1:${addresses.admin.port}/readyz`)).status, 503);
  await presenceOf(configured, ({ report }) => report.workers.ready === 2, 'another worker');
  t.notOk(childrenOf(edge.pid!).includes(pid!));
  for (const host of threeHosts) t.equal(await statusOf(configured, addresses, host), 200);
});

t.test('an edge whose supervisor hangs is killed, and leaves no worker', async (t) => {
  const configured = await createConfiguredStore();
  const { edge } = await startTestEdge(t, configured, { dataDir: testFolder(t) });
  await appliedAt(configured, await serveThree(t, configured));
  const workers = childrenOf(edge.pid!);
  process.kill(edge.pid!, 'SIGSTOP');
  t.match(await edge.exited, { signal: 'SIGKILL' });
  await waitFor(() => !workers.some(isAlive), { what: 'its workers to end' });
});
