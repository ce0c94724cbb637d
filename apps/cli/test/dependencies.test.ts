import { rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { findStale, installDependencies } from '../bin/dependencies.js';

const elsewhere = { version: '1.0.0', integrity: 'e', optional: true, os: ['plan9'] };
const here = { version: '1.0.0', integrity: 'h', optional: true, os: process.platform, cpu: [process.arch] };
const left = { version: '1.0.0', integrity: 'l' };
const cli = { resolved: 'apps/cli', link: true };
const complete = { 'node_modules/left': left, 'node_modules/here': here, 'node_modules/@lockstep/cli': cli };

function checkout(t: Test, installed: object | null): string {
  const packages = { '': {}, 'apps/cli': {}, ...complete, 'node_modules/elsewhere': elsewhere };
  return t.testdir({
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

t.test('npm ci installs, then npm install where that fails', async (t) => {
  const root = checkout(t, null);
  const attempt = (results: Record<string, number | null>) => {
    const commands: string[] = [];
    const run = (_root: string, command: string) => {
      commands.push(command);
      return results[command] as number | null;
    };
    return [installDependencies(root, { print: () => {}, run }), commands];
  };
  t.strictSame(attempt({ ci: 0 }), [0, ['ci']]);
  t.strictSame(attempt({ ci: 1, install: 0 }), [0, ['ci', 'install']]);
  t.strictSame(attempt({ ci: 1, install: 1 }), [1, ['ci', 'install']]);
  t.strictSame(attempt({ ci: null, install: 0 }), [1, ['ci']], 'Ctrl-C is no reason to try again');
});
