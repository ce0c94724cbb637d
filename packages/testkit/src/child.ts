import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';

export interface Child {
  readonly pid: number;
  /** What it wrote to stdout and stderr so far, by line. */
  readonly log: readonly string[];
  /** How it ended, or null while it runs. */
  ended(): string | null;
  /** Sends the signal and resolves when the process is gone. */
  signal(name: NodeJS.Signals): Promise<void>;
}

export interface ChildOptions {
  command: string;
  args: readonly string[];
  env?: Record<string, string>;
  cwd?: string;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a process that does not outlive this one. */
export function startChild({ command, args, env = {}, cwd }: ChildOptions): Child {
  // A test killed by a signal runs no exit handler: there the kernel ends its children.
  const setpriv = '/usr/bin/setpriv';
  const guard = existsSync(setpriv) ? [setpriv, '--pdeathsig', 'KILL'] : [];
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const line = [...guard, '/usr/bin/env', ...variables, command, ...args];
  const child = spawn(line[0]!, line.slice(1), {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd,
  });
  running.add(child);
  const log: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      log.push(...lines);
    });
  }
  let end: string | null = null;
  child.on('error', (error) => {
    end ??= error.message;
    running.delete(child);
  });
  child.on('exit', (code, signal) => {
    end ??= `exit ${signal ?? code}`;
    running.delete(child);
  });
  return {
    get pid() {
      return child.pid!;
    },
    log,
    ended: () => end,
    async signal(name) {
      if (end !== null) return;
      const gone = once(child, 'exit');
      child.kill(name);
      await gone;
    },
  };
}
