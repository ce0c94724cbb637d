#!/usr/bin/env node
// Runs the command, whatever Node it was started with. The script beside it, `lockstep`, starts it with the right one at once.
import module from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findPinnedNode, oldestNode, runsTypeScript } from './pinned-node.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));

if (runsTypeScript()) {
  keepCompiled();
  endWithLauncher();
  await import('../src/main.ts');
} else await runUnder(findPinnedNode(root));

/**
 * What Node compiled (types stripped, too) is kept beside the modules it was made of, for this process and those that it starts.
 * It goes by each file's contents, so an edit takes effect at once; where the folder cannot be written, all is compiled anew.
 */
function keepCompiled() {
  process.env.NODE_COMPILE_CACHE ??= join(root, 'node_modules', '.cache', 'lockstep', 'compiled');
  module.enableCompileCache(process.env.NODE_COMPILE_CACHE);
}

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
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
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
