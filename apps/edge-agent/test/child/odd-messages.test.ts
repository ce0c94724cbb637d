import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const odd: unknown[] = [
  null,
  0,
  'text',
  [],
  {},
  ...['start', 'refuse', 'figures', 'listen', 'none', null].map((worker) => ({ worker })),
  ...['none', null].map((edge) => ({ edge })),
  ...['following', 'snapshot', 'records', 'commit', 'current', 'reported', 'hint', 'trouble', 7].map(
    (feed) => ({ feed }),
  ),
  { feed: 'commit', entry: { position: {}, changes: 7 } },
  { feed: 'records', records: 7 },
  { worker: 'start', settings: { edgeKey: 7, config: {} } },
];

for (const [what, path, beat] of [
  ['a worker', '../../src/native/worker/main.ts', { worker: 'beat' }],
  ['an edge', '../../src/child/main.ts', { edge: 'beat' }],
] as const) {
  t.test(`no message from its parent that cannot be read ends ${what}`, async (t) => {
    const child = fork(fileURLToPath(new URL(path, import.meta.url)), {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const exit = once(child, 'exit');
    t.teardown(async () => {
      child.kill('SIGKILL');
      await exit;
    });
    const answered = new Promise<void>((resolve, reject) => {
      child.on('message', (message) => JSON.stringify(message) === JSON.stringify(beat) && resolve());
      child.on('exit', () => reject(new Error('it ended')));
    });
    for (const message of odd) child.send(message as object);
    child.send(beat);
    await answered;
    t.equal(child.exitCode, null);
  });
}
