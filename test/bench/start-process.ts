import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';

const stopTimeoutMs = 15_000;

export interface StartOptions {
  command: string;
  args: readonly string[];
  /** The whole environment; left out: that of this process. */
  env?: Record<string, string>;
  /** Where stdout and stderr go. */
  logFile: string;
}

export interface Process {
  readonly pid: number;
  /** Resolves when it is gone. */
  readonly exited: Promise<void>;
  /** Throws, with the end of the log, when the process is gone. */
  check(): void;
  /** SIGTERM, and SIGKILL when that takes longer than 15 s. Resolves when it is gone. */
  stop(): Promise<void>;
}

const running = new Set<number>();
process.on('exit', () => {
  for (const pid of running) killQuietly(pid);
});
for (const [name, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.on(name, () => process.exit(code));
}

/** Starts a process that does not outlive this one. Throws when the command cannot be run. */
export async function startProcess({ command, args, env, logFile }: StartOptions): Promise<Process> {
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(command, args, { stdio: ['ignore', log, log], ...(env === undefined ? {} : { env }) });
  closeSync(log);
  await once(child, 'spawn');
  const pid = child.pid!;
  running.add(pid);
  const exited = once(child, 'exit').then(() => {
    running.delete(pid);
  });
  return {
    pid,
    exited,
    check() {
      if (running.has(pid)) return;
      const end = readFileSync(logFile, 'utf8').trim().split('\n').slice(-5).join('\n  ');
      throw new Error(`${command} ended (${child.signalCode ?? child.exitCode}):\n  ${end}`);
    },
    async stop() {
      if (!running.has(pid)) return;
      const timer = setTimeout(() => killQuietly(pid), stopTimeoutMs);
      child.kill('SIGTERM');
      await exited;
      clearTimeout(timer);
    },
  };
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}
