import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { testFolder } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { findStale, installDependencies } from '../bin/dependencies.js';

const elsewhere = { version: '1.0.0', integrity: 'e', optional: true, os: ['plan9'] };
const here = { version: '1.0.0', integrity: 'h', optional: true, os: process.platform, cpu: [process.arch] };
const left = { version: '1.0.0', integrity: 'l' };
const cli = { resolved: 'apps/cli', link: true };
const complete = { 'node_modules/left': left, 'node_modules/here': here, 'node_modules/@lockstep/cli': cli };

function checkout(t: Test, installed: object | null): string {
  const packages = { '': {}, 'apps/cli': {}, ...complete, 'node_modules/elsewhere': elsewhere };
  return testFolder(t, {
    'package-lock.json': JSON.stringify({ packages }),
    node_modules: installed === null ? {} : { '.package-lock.json': JSON.stringify({ packages: installed }) },
  });
}

t.test('what is installed as the lock file says is left alone, without a word', async (t) => {
  const root = checkout(t, complete);
  const printed: string[] = [];
  const code = installDependencies(root, {
    print: (line) => printed.push(line),
    run: () => Number(t.fail('npm ran')),
  });
  t.strictSame([findStale(root), code, printed], [null, 0, []]);
});

t.test('whatever differs from the lock file is noticed', async (t) => {
  t.ok(findStale(checkout(t, null)), 'an install that never ended');
  t.ok(
    findStale(checkout(t, { ...complete, 'node_modules/left': { ...left, version: '0.9.0' } })),
    'a version',
  );
  t.ok(
    findStale(checkout(t, { ...complete, 'node_modules/left': { ...left, integrity: 'x' } })),
    'a content',
  );
  t.ok(findStale(checkout(t, { ...complete, 'node_modules/left': undefined })), 'a missing package');
  t.ok(
    findStale(checkout(t, { ...complete, 'node_modules/here': undefined })),
    'an optional one for this machine',
  );
  t.ok(findStale(checkout(t, { ...complete, 'node_modules/@lockstep/cli': undefined })), 'a workspace');
  const root = checkout(t, complete);
  rmSync(join(root, 'package-lock.json'));
  t.ok(findStale(root), 'no lock file');
});

t.test(
  'what an interrupted install left is removed before the next; a finished one is only completed',
  async (t) => {
    const interrupted = checkout(t, null);
    writeFileSync(join(interrupted, 'node_modules', 'half'), '');
    const run = () => 0;
    t.equal(installDependencies(interrupted, { print: () => {}, run }), 0);
    t.notOk(existsSync(join(interrupted, 'node_modules', 'half')));

    const old = checkout(t, { ...complete, 'node_modules/left': undefined });
    writeFileSync(join(old, 'node_modules', 'whole'), '');
    t.equal(installDependencies(old, { print: () => {}, run }), 0);
    t.ok(existsSync(join(old, 'node_modules', 'whole')));
  },
);

t.test('a failed install is said, and fails', async (t) => {
  const printed: string[] = [];
  t.equal(installDependencies(checkout(t, null), { print: (line) => printed.push(line), run: () => 1 }), 1);
  t.match(printed.at(-1), /could not be installed/);
});
