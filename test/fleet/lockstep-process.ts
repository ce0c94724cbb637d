import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const command = fileURLToPath(new URL('../../apps/cli/bin/lockstep.js', import.meta.url));

/** A `lockstep` command as a real process of its own. */
export interface LockstepProcess {
  readonly pid: number;
  readonly exited: Promise<number | null>;
  /** All it has written so far. */
  output(): string;
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export function startLockstep(args: string[], env: Record<string, string>): LockstepProcess {
  const child: ChildProcess = spawn(process.execPath, [command, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await exited;
  };
  return {
    pid: child.pid ?? 0,
    exited,
    output: () => output,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  };
}
