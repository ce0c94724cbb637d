import { fileURLToPath } from 'node:url';
import { type Child, startChild } from './child.ts';

const launcher = fileURLToPath(new URL('../../../apps/cli/bin/lockstep.js', import.meta.url));

export interface LockstepOptions {
  /** All the variables it gets, beside PATH. */
  env?: Record<string, string>;
  cwd?: string;
  /** Arguments of Node itself. */
  nodeArgs?: readonly string[];
}

/** The `lockstep` command as a real process of its own, which does not outlive this one. */
export function startLockstep(args: readonly string[], options: LockstepOptions = {}): Child {
  const { env = {}, cwd, nodeArgs = [] } = options;
  return startChild({
    command: process.execPath,
    args: [...nodeArgs, launcher, ...args],
    env: { PATH: '/usr/bin:/bin', ...env },
    onlyThese: true,
    ...(cwd === undefined ? {} : { cwd }),
  });
}
