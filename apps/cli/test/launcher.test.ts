import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startChild, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { runsTypeScript } from '../bin/pinned-node.js';
import { asOldNode, runLockstep } from './lockstep-process.ts';

t.test(
  'under an older Node the command runs by the pinned one, and its exit code is passed on',
  async (t) => {
    const good = await runLockstep(t, ['keygen'], { nodeArgs: asOldNode });
    t.match(good, { code: 0, output: /^[\w+/]{43}=\n$/ });
    const bad = await runLockstep(t, ['up', '--port', 'x'], { nodeArgs: asOldNode });
    t.match(bad, { code: 1, output: /--port/ });
  },
);

t.test(
  'the command, linked from anywhere, is a process of the pinned Node; none has to be on PATH',
  async (t) => {
    const link = join(testFolder(t, {}), 'lockstep');
    symlinkSync(fileURLToPath(new URL('../bin/lockstep', import.meta.url)), link);
    const child = startChild({
      command: link,
      args: ['keygen'],
      env: { PATH: '/usr/bin:/bin' },
      onlyThese: true,
    });
    const { code } = await child.closed;
    t.match({ code, output: child.output() }, { code: 0, output: /^[\w+/]{43}=\n$/ });
  },
);

t.test('where no Node is pinned for the machine, one line says which is needed', async (t) => {
  const elsewhere = [
    '--import',
    "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.0.0'});Object.defineProperty(process,'arch',{value:'riscv64'})",
  ];
  const { code, output } = await runLockstep(t, ['keygen'], { nodeArgs: elsewhere });
  t.equal(code, 1);
  t.match(output, /^lockstep: [^\n]*Node 26 or newer\.\n$/);
});

t.test('Node runs the TypeScript from 26 on', async (t) => {
  t.equal(runsTypeScript('20.20.2'), false);
  t.equal(runsTypeScript('25.9.9'), false);
  t.equal(runsTypeScript('26.0.0'), true);
  t.equal(runsTypeScript('100.0.0'), true);
});
