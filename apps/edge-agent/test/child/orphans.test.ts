import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { childrenOf, isAlive } from '../start-test-edge.ts';

const parentEntry = fileURLToPath(new URL('./parent-of-edge.ts', import.meta.url));

async function startParent(
  dataDir: string,
  count = 1,
): Promise<{ parent: ChildProcess; edgePid: number; workers: number[] }> {
  const parent = fork(parentEntry, [dataDir, String(count)], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const [edgePid] = (await once(parent, 'message')) as [number];
  return { parent, edgePid, workers: childrenOf(edgePid) };
}

const gone = (pids: number[]) =>
  waitFor(() => pids.every((pid) => !isAlive(pid)), { what: 'all processes of the edge to be gone' });

t.test('an edge whose parent is killed drains and exits, workers and all', async (t) => {
  const { parent, edgePid, workers } = await startParent(testFolder(t), 2);
  t.equal(workers.length, 2);
  parent.kill('SIGKILL');
  await gone([edgePid, ...workers]);
});

t.test('workers whose supervisor is killed exit', async (t) => {
  const { parent, edgePid, workers } = await startParent(testFolder(t));
  process.kill(edgePid, 'SIGKILL');
  await gone(workers);
  parent.kill('SIGKILL');
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  t.test(`${signal} to every process of an edge, twice, stops it and nothing is started again`, async (t) => {
    const { parent, edgePid, workers } = await startParent(testFolder(t));
    for (let i = 0; i < 2; i += 1)
      for (const pid of [edgePid, ...workers]) if (isAlive(pid)) process.kill(pid, signal);
    await gone([edgePid, ...workers]);
    t.ok(isAlive(parent.pid!), 'the parent is not the edge’s to end');
    parent.kill('SIGKILL');
  });
}
