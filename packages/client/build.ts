// Makes `dist`, what is published: plain modules with their types, and a package.json that names no other workspace.
import { spawnSync } from 'node:child_process';
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import manifest from './package.json' with { type: 'json' };

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const { name, version, description, license, dependencies } = manifest;

rmSync(here('dist'), { recursive: true, force: true });
const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const { status } = spawnSync(process.execPath, [compiler, '-p', here('tsconfig.build.json')], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(1);
const published = {
  name,
  version,
  description,
  license,
  type: 'module',
  sideEffects: false,
  engines: { node: '>=20.3' },
  exports: { '.': { types: './index.d.ts', default: './index.js' } },
  dependencies,
};
writeFileSync(here('dist/package.json'), `${JSON.stringify(published, null, 2)}\n`);
copyFileSync(here('README.md'), here('dist/README.md'));
copyFileSync(here('../../LICENSE'), here('dist/LICENSE'));
