#!/usr/bin/env node
// Runs the command under the Node that package-lock.json pins, whatever Node the machine has.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { findPinnedNode, oldestNode, runsTypeScript } from './pinned-node.js';

const main = new URL('../src/main.ts', import.meta.url);

if (runsTypeScript()) await import(main);
else runUnder(findPinnedNode(fileURLToPath(new URL('../../..', import.meta.url))));

function runUnder(node) {
  if (node === null) return fail(`no pinned Node is installed here; run "npm ci"`);
  const child = spawn(node, [fileURLToPath(main), ...process.argv.slice(2)], { stdio: 'inherit' });
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
