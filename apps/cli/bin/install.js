// `npm start` and `npm test` begin here: installs what package-lock.json names and is not there yet, then runs the script that the
// arguments name. It is run from here by the Node that is pinned: a shell that found `node` before the install keeps to that one.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { installDependencies } from './dependencies.js';
import { findPinnedNode } from './pinned-node.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
process.exitCode = installDependencies(root) || run(process.argv.slice(2));

function run(script) {
  if (script.length === 0) return 0;
  const { status } = spawnSync(findPinnedNode(root) ?? process.execPath, script, {
    cwd: root,
    stdio: 'inherit',
  });
  return status ?? 1;
}
