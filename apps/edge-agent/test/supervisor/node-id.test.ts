import { join } from 'node:path';
import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { createConfiguredStore } from '../configured-store.ts';
import { presenceOf, spawnTestEdge, startTestEdge } from '../start-test-edge.ts';

t.test(
  'a restart on the same folder takes the node over at once, one elsewhere under a live id is refused',
  async (t) => {
    const configured = await createConfiguredStore();
    const dataDir = testFolder(t, { one: {}, two: {} });
    const first = await startTestEdge(t, configured, { dataDir: join(dataDir, 'one') });
    await presenceOf(configured, () => true, 'the first');
    const intruder = spawnTestEdge(t, configured, { dataDir: join(dataDir, 'two') });
    process.kill(first.edge.pid!, 'SIGKILL');
    await first.edge.exited;
    const before = (await configured.store.listNodes())[0]!.report.instance;
    await startTestEdge(t, configured, { dataDir: join(dataDir, 'one') });
    await presenceOf(configured, ({ report }) => report.instance !== before, 'the second');
    t.match(await intruder.exited, { code: 1, error: { code: 'node_id_taken' } });
  },
);
