import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Child, startChild } from './child.ts';

const here = fileURLToPath(new URL('../../..', import.meta.url));

export interface LockstepOptions {
  /** All the variables it gets, beside PATH. */
  env?: Record<string, string>;
  cwd?: string;
  /** The checkout that it is run from. Default: this one. */
  root?: string | undefined;
  /** Arguments of Node itself. */
  nodeArgs?: readonly string[];
}

/** The `lockstep` command as a real process of its own, which does not outlive this one. */
export function startLockstep(args: readonly string[], options: LockstepOptions = {}): Child {
  const { env = {}, cwd, nodeArgs = [], root = here } = options;
  return startChild({
    command: process.execPath,
    args: [...nodeArgs, join(root, 'apps/cli/bin/lockstep.js'), ...args],
    // No test changes the configuration of whoever runs it.
    env: { PATH: '/usr/bin:/bin', LOCKSTEP_CONFIG_DIR: '/dev/null/none', ...env },
    onlyThese: true,
    ...(cwd === undefined ? {} : { cwd }),
  });
}
