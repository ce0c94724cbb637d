import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { logDestination } from '@lockstep/contract';
import { testFolder, waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';

const line = 'x'.repeat(200);

t.test('a full disk costs lines, and neither ends nor holds up whoever logs', async (t) => {
  const fd = openSync('/dev/full', 'w');
  t.teardown(() => closeSync(fd));
  const destination = logDestination(pino.destination, fd);
  const log = pino(destination);
  const failed = once(destination, 'error', { signal: AbortSignal.timeout(30_000) });
  for (let n = 0; n < 10_000; n += 1) log.info(line);
  await failed;
  destination.flushSync();
  await setImmediate();
});

t.test('a reader that stands still costs lines, and holds up nobody', async (t) => {
  const reader = spawn('sleep', ['60'], { stdio: ['pipe', 'ignore', 'ignore'] });
  t.teardown(() => reader.kill('SIGKILL'));
  const { fd } = (reader.stdin as unknown as { _handle: { fd: number } })._handle;
  const destination = logDestination(pino.destination, fd);
  const log = pino(destination);
  let dropped = 0;
  destination.on('drop', () => {
    dropped += 1;
  });
  for (let n = 0; n < 20_000; n += 1) log.info(line);
  t.ok(dropped > 0);
  destination.flushSync();
  await setImmediate();
});

t.test('every line is written by the end where it can be', async (t) => {
  const file = join(testFolder(t, {}), 'log');
  const fd = openSync(file, 'a');
  const destination = logDestination(pino.destination, fd);
  const log = pino(destination);
  for (let n = 0; n < 1_000; n += 1) log.info({ n });
  await once(destination, 'ready').catch(() => {});
  destination.flushSync();
  // One write may be under way in another thread, which ends with the process at the latest.
  const written = () =>
    readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text || '{}').n);
  await waitFor(() => written().length === 1_000, { what: 'all lines' });
  t.same(
    written().sort((one, other) => one - other),
    Array.from({ length: 1_000 }, (_, n) => n),
  );
});
