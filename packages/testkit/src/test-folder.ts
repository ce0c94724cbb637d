import type { Test } from 'tap';

/**
 * As `t.testdir`, but it goes after everything else that the test tears down: tap removes a folder that was asked for first before that, and
 * fails, with all the rest left running, when a process or a timer writes there at that moment.
 */
export function testFolder(
  t: Pick<Test, 'testdir' | 'teardown'>,
  content?: Parameters<Test['testdir']>[0],
): string {
  t.teardown(() => {});
  return t.testdir(content);
}
