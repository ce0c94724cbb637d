import { readFileSync, realpathSync } from 'node:fs';
import { isBuiltin, stripTypeScriptTypes } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { withoutComments } from './imports.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const own = /^@lockstep\/([\w-]+)(?:\/([\w-]+))?$/;
// Not `import(…)`, which loads when it is called.
const loading = /(?:^|[^\w$.])(?:(?:import|export)\b[^'"`;()]*?\bfrom\s*|import\s*)(['"])([^'"\n]+)\1/g;

/** What is loaded before the first line of an entry runs: files of ours, from the root, and packages of others; those of Node left out. */
function loadedBy(entry: string): { files: string[]; packages: string[] } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string) => {
    if (files.has(file)) return;
    files.add(file);
    if (!file.endsWith('.ts')) return;
    for (const [, , specifier = ''] of withoutComments(
      stripTypeScriptTypes(readFileSync(file, 'utf8')),
    ).matchAll(loading)) {
      if (isBuiltin(specifier)) continue;
      if (specifier.startsWith('.')) visit(realpathSync(join(dirname(file), specifier)));
      else if (own.test(specifier)) visit(resolveOwn(specifier));
      else packages.add(specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'));
    }
  };
  visit(realpathSync(join(root, entry)));
  return { files: [...files].map((file) => relative(root, file)), packages: [...packages].sort() };
}

function packagesOf(entry: string): string[] {
  return loadedBy(entry).packages;
}

function resolveOwn(specifier: string): string {
  const [, name = '', path] = own.exec(specifier) ?? [];
  const folder = ['packages', 'apps'].map((parent) => join(root, parent, name)).find(hasManifest)!;
  const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const target = typeof exports === 'string' ? exports : exports[path === undefined ? '.' : `./${path}`];
  return realpathSync(join(folder, target));
}

function hasManifest(folder: string): boolean {
  try {
    return readFileSync(join(folder, 'package.json')).byteLength > 0;
  } catch {
    return false;
  }
}

t.test('`lockstep --help` loads the program and nothing that it runs', async (t) => {
  t.strictSame(packagesOf('apps/cli/src/main.ts'), ['commander']);
});

t.test(
  'an edge loads no schema, no API, no CA and no client of a store or an upstream but its own',
  async (t) => {
    const supervisor = ['lru-cache', 'pino'];
    t.strictSame(packagesOf('apps/edge-agent/src/child/main.ts'), supervisor, 'fed by its parent');
    t.strictSame(packagesOf('apps/edge-agent/src/main.ts'), supervisor, 'over Redis');
    t.strictSame(
      packagesOf('apps/edge-agent/src/native/worker/main.ts'),
      ['lru-cache', 'pino'],
      'its worker',
    );
  },
);

t.test(
  'a control plane loads no library for certificates, no CA’s client and no renderer until it needs one',
  async (t) => {
    const loaded = packagesOf('apps/control-plane/src/main.ts');
    for (const name of [
      'acme-client',
      'axios',
      '@peculiar/x509',
      '@fastify/swagger',
      'yaml',
      'ioredis',
      'prom-client',
    ])
      t.notOk(loaded.includes(name), name);
    t.ok(loaded.includes('fastify'));
  },
);

t.test('a process loads no store before its address says which', async (t) => {
  const parts = (entry: string) =>
    ['backup', 'cache', 'redis', 'sqlite'].filter((part) =>
      loadedBy(entry).files.some((file) =>
        new RegExp(`^packages/store/src/${part}/(?!open-database|statements|store-url)`).test(file),
      ),
    );
  for (const entry of [
    'apps/control-plane/src/main.ts',
    'apps/edge-agent/src/main.ts',
    'apps/cli/src/up/run-up.ts',
  ])
    t.ok(loadedBy(entry).files.includes('packages/store/src/open-store.ts'), entry);
  t.strictSame(parts('apps/control-plane/src/main.ts'), []);
  t.strictSame(parts('apps/edge-agent/src/main.ts'), ['cache']);
  t.strictSame(parts('apps/edge-agent/src/child/main.ts'), ['cache']);
  t.strictSame(parts('apps/cli/src/up/run-up.ts'), []);
  t.strictSame(parts('packages/store/src/redis/redis-store.ts'), ['redis']);
  t.strictSame(parts('packages/store/src/sqlite/sqlite-store.ts'), ['sqlite']);
});
