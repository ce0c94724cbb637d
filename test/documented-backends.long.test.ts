import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePortsInARow, startChild, startLockstep, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { guidePrograms } from './fleet/guide-programs.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

t.test('the programs of the guide for backends do what it says', async (t) => {
  const folder = testFolder(t);
  const first = await freePortsInARow(7);
  const ports = { '--port': 0, '--https-port': 1, '--http-port': 3, '--admin-port': 5 };
  const up = startLockstep(
    [
      ...['up', '--edges', '1', '--data-dir', join(folder, 'data')],
      ...Object.entries(ports).flatMap(([flag, offset]) => [flag, String(first + offset)]),
    ],
    { cwd: folder },
  );
  t.teardown(() => up.signal('SIGKILL'));
  await up.seen(/Ctrl-C stops everything/);
  const token = readFileSync(join(folder, 'data', 'admin-token'), 'utf8').trim();
  const env = { LOCKSTEP_API: `http://127.0.0.1:${first}`, LOCKSTEP_TOKEN: token };
  const allowed = startLockstep(['settings', 'set', 'webhookTargets=any'], { env });
  t.equal((await allowed.closed).code, 0);
  for (const { name, code, file, command, told, skip } of guidePrograms) {
    const [executable, ...args] = command;
    await t.test(name, { skip }, async (t) => {
      const path = join(folder, file);
      writeFileSync(path, code);
      const child = startChild({
        command: executable,
        args: [...args, path],
        env: { PATH: process.env.PATH!, HOME: process.env.HOME ?? folder, ...env },
        onlyThese: true,
        cwd: root,
      });
      t.teardown(() => child.signal('SIGKILL'));
      t.match(await child.closed, { code: 0 });
      t.match(child.output(), told);
    });
  }
});
