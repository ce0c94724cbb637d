#!/usr/bin/env node
// Runs the command, whatever Node it was started with. The script beside it, `lockstep`, starts it with the right one at once.
import { fileURLToPath } from 'node:url';
import { keepCompiled } from './keep-compiled.js';
import { findPinnedNode, oldestNode, runsTypeScript } from './pinned-node.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));

if (runsTypeScript()) {
  keepCompiled(root);
  endWithLauncher();
  await import('../src/main.ts');
} else await runUnder(findPinnedNode(root));

/** The Node that is too old holds a channel to this process: it closes however that one ends, where no signal can be passed on. */
function endWithLauncher() {
  if (process.channel === undefined) return;
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel.unref();
}

async function runUnder(node) {
  if (node === null) return fail(`no pinned Node is installed here; run "npm ci"`);
  const { spawn } = await import('node:child_process');
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  child.on('error', (error) => fail(`the pinned Node does not start on this machine (${error.code})`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP', 'SIGUSR1']) {
    process.on(signal, () => {
      // A terminal sends Ctrl-C to the whole process group: the child has it already.
      if (signal === 'SIGINT' && process.stdin.isTTY) return;
      child.kill(signal);
    });
  }
}

function fail(detail) {
  process.stderr.write(
    `lockstep: ${detail}. This is Node ${process.versions.node}; Lockstep needs Node ${oldestNode} or newer.\n`,
  );
  process.exitCode = 1;
}
