// The last step of an install: loads what the commands load, so that the first start finds it compiled, as the next ones do.
import { spawnSync } from 'node:child_process';
import module from 'node:module';
import { fileURLToPath } from 'node:url';
import { keepCompiled } from './keep-compiled.js';
import { runsTypeScript } from './pinned-node.js';

const root = new URL('../../../', import.meta.url);
const entries = [
  'apps/cli/src/up/run-up.ts',
  'apps/control-plane/src/main.ts',
  'apps/edge-agent/src/main.ts',
  'apps/edge-agent/src/child/main.ts',
  'apps/edge-agent/src/native/worker/main.ts',
];

try {
  if (runsTypeScript()) await compile();
} catch (error) {
  // Only a start can show what is wrong, and says it better.
  process.stderr.write(`lockstep: nothing is compiled ahead (${error.message})\n`);
}
process.exit(0); // some entries wait for messages

async function compile() {
  keepCompiled(fileURLToPath(root));
  for (const entry of entries) await import(new URL(entry, root));
  spawnSync(process.execPath, [fileURLToPath(new URL('lockstep.js', import.meta.url)), '--help']);
  module.createRequire(new URL('packages/store/src/index.ts', root))('ioredis');
  module.flushCompileCache();
}
