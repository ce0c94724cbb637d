import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

const launcher = fileURLToPath(new URL('../bin/lockstep.js', import.meta.url));

/** Makes Node say that it is an older one, so that the launcher looks for the pinned Node. */
export const asOldNode = [
  '--import',
  "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.0.0'})",
];

export interface LockstepProcess {
  pid: number;
  /** All it printed so far, stdout and stderr. */
  output(): string;
  /** Resolves when the output matches; rejects when the process ends before. */
  seen(pattern: RegExp): Promise<RegExpExecArray>;
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

export interface StartOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** Arguments of Node itself. */
  nodeArgs?: string[];
}

/** Runs the real command in a process of its own, which the test's end kills. */
export function startLockstep(
  t: Test,
  args: string[],
  { env = {}, cwd, nodeArgs = [] }: StartOptions = {},
): LockstepProcess {
  const child = spawn(process.execPath, [...nodeArgs, launcher, ...args], {
    cwd: cwd ?? tmpdir(),
    env: { PATH: '/usr/bin:/bin', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const changes = new EventEmitter();
  let output = '';
  let ended = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      changes.emit('change');
    });
  }
  const exited = once(child, 'close').then(([code, signal]) => {
    ended = true;
    changes.emit('change');
    return { code, signal };
  });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return {
    pid: child.pid!,
    output: () => output,
    exited,
    async seen(pattern) {
      for (;;) {
        const match = pattern.exec(output);
        if (match !== null) return match;
        if (ended) throw new Error(`it ended without printing ${pattern}:\n${output}`);
        await once(changes, 'change');
      }
    },
  };
}

/** Runs the command to its end. */
export async function runLockstep(t: Test, args: string[], options: StartOptions = {}) {
  const lockstep = startLockstep(t, args, options);
  const { code } = await lockstep.exited;
  return { code, output: lockstep.output() };
}

/** The first of `count` ports in a row that are free; below those that the system hands out by itself. */
export async function freePortsInARow(count: number): Promise<number> {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 10_000);
    const free = await Promise.all(Array.from({ length: count }, (_, index) => isFree(first + index)));
    if (free.every(Boolean)) return first;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
