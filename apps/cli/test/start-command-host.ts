import { fork } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

export interface CommandRun {
  args: string[];
  /** All the variables it gets, beside PATH. */
  env: Record<string, string>;
  cwd: string;
}

/** Runs commands to their ends, one by one, in one process for all of them: what they load is loaded once. */
export function startCommandHost(t: Test) {
  const host = fork(fileURLToPath(new URL('many-commands.ts', import.meta.url)), [], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  t.teardown(() => host.kill('SIGKILL'));
  const gone = once(host, 'exit').then(() => Promise.reject(new Error('the host of commands is gone')));
  gone.catch(() => {});
  return async (
    args: string[],
    { env, cwd = tmpdir() }: Pick<CommandRun, 'env'> & Partial<CommandRun>,
  ): Promise<{ code: number; output: string }> => {
    const answer = once(host, 'message');
    host.send({ args, env, cwd } satisfies CommandRun);
    const [ended] = await Promise.race([answer, gone]);
    return ended;
  };
}
