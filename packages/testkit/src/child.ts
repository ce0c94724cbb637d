import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { existsSync } from 'node:fs';

export interface Child {
  readonly pid: number;
  /** What it wrote to stdout and stderr so far, by line. */
  readonly log: readonly string[];
  /** The same as it came. */
  output(): string;
  /** Resolves when the output matches; rejects when its output ends before. */
  seen(pattern: RegExp): Promise<RegExpExecArray>;
  /** How it ended, or null while it runs. */
  ended(): string | null;
  /** Resolves when the process is gone. */
  readonly exited: Promise<Exit>;
  /** Resolves when the process and all that write to its output are gone. */
  readonly closed: Promise<Exit>;
  /** Sends the signal, if it still runs, and resolves when the process is gone. */
  signal(name: NodeJS.Signals): Promise<void>;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface ChildOptions {
  command: string;
  args: readonly string[];
  /** Beside this process's own variables, or `onlyThese`. */
  env?: Record<string, string>;
  onlyThese?: boolean;
  cwd?: string;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a process that does not outlive this one. */
export function startChild({ command, args, env = {}, onlyThese = false, cwd }: ChildOptions): Child {
  // A test killed by a signal runs no exit handler: there the kernel ends its children.
  const setpriv = '/usr/bin/setpriv';
  const guard = existsSync(setpriv) ? [setpriv, '--pdeathsig', 'KILL'] : [];
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const line = [...guard, '/usr/bin/env', ...(onlyThese ? ['-i'] : []), ...variables, command, ...args];
  const child = spawn(line[0]!, line.slice(1), {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd,
  });
  running.add(child);
  const changes = new EventEmitter().setMaxListeners(0);
  const log: string[] = [];
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      log.push(...lines);
      changes.emit('change');
    });
  }
  let end: string | null = null;
  let silent = false;
  const exited = Promise.race([
    once(child, 'exit').then(([code, signal]) => ({ code, signal })),
    once(child, 'error').then(([error]) => {
      end ??= error.message;
      return { code: null, signal: null };
    }),
  ]) as Promise<Exit>;
  exited.then(({ code, signal }) => {
    end ??= `exit ${signal ?? code}`;
    running.delete(child);
  });
  const closed = once(child, 'close').then(() => {
    silent = true;
    changes.emit('change');
    return exited;
  });
  return {
    get pid() {
      return child.pid!;
    },
    log,
    output: () => output,
    async seen(pattern) {
      for (;;) {
        const match = pattern.exec(output);
        if (match !== null) return match;
        if (silent) throw new Error(`it ended without printing ${pattern}:\n${output}`);
        await once(changes, 'change');
      }
    },
    ended: () => end,
    exited,
    closed,
    async signal(name) {
      if (end === null) child.kill(name);
      await exited;
    },
  };
}
