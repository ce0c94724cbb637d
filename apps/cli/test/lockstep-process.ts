import { tmpdir } from 'node:os';
import { type Child, type Exit, type LockstepOptions, startLockstep as start } from '@lockstep/testkit';
import type { Test } from 'tap';

/** Makes Node say that it is an older one, so that the launcher looks for the pinned Node. */
export const asOldNode = [
  '--import',
  "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.0.0'})",
];

/** Runs the real command in a process of its own, which the test's end kills. */
export function startLockstep(t: Test, args: string[], options: LockstepOptions = {}): Child {
  const lockstep = start(args, { cwd: tmpdir(), ...options });
  t.teardown(() => lockstep.signal('SIGKILL'));
  return lockstep;
}

/** Runs the command to its end. */
export async function runLockstep(
  t: Test,
  args: string[],
  options: LockstepOptions = {},
): Promise<{ code: Exit['code']; output: string }> {
  const lockstep = startLockstep(t, args, options);
  const { code } = await lockstep.closed;
  return { code, output: lockstep.output() };
}
