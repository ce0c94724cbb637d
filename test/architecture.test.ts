import { fileURLToPath } from 'node:url';
import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { findBreaches } from './architecture.ts';
import { readImports } from './imports.ts';

t.test('the repository keeps the rules of the architecture', async (t) => {
  t.strictSame(findBreaches(fileURLToPath(new URL('..', import.meta.url))), []);
});

t.test('each rule finds its breach', async (t) => {
  const root = testFolder(t, {
    packages: {
      contract: workspace(
        'contract',
        { dependencies: { zod: '1', left: '1' } },
        {
          'index.ts': "import { z } from 'zod';\nimport left from 'left';\n",
        },
      ),
      store: workspace(
        'store',
        { dependencies: { ioredis: '1', '@lockstep/contract': '1', '@lockstep/pki': '1' } },
        {
          'index.ts':
            "import 'node:sqlite';\nimport { Redis } from 'ioredis';\nexport * from '@lockstep/contract';\nimport '@lockstep/pki';\n",
        },
      ),
    },
    apps: {
      'control-plane': workspace(
        'control-plane',
        { dependencies: { fastify: '1', ioredis: '1', pino: '1', '@lockstep/edge-agent': '1' } },
        {
          'main.ts': "import { pino } from 'pino';\nconst log = pino({});\n",
          'log.ts':
            "import { pino } from 'pino';\nimport type { Logger } from 'pino';\nconst log = pino({});\n",
          'config.ts': 'const env = process.env;\n',
          'server.ts': "import fastify from 'fastify';\nconst port = process.env.PORT; // not process.env\n",
          'edges.ts': "const edge = await import('@lockstep/edge-agent');\n",
          'redis.ts': "import type { Redis } from 'ioredis';\n",
          'near.ts': "import { Feed } from '../../edge-agent/src/feed.ts';\n",
          time: { 'iso.ts': "import '../main.ts';\nimport '../api/server.ts';\n" },
          api: { 'server.ts': "import '../time/iso.ts';\nimport './own.ts';\n", 'own.ts': '' },
          attic: { 'old.ts': "import '../time/iso.ts';\n" },
          'straight.ts': 'await store.commit({});\n',
          changes: { 'writes.ts': 'await store.commit({});\n' },
          'one.ts': "import type { Two } from './two.ts';\n",
          'two.ts': "export { one } from './one.ts';\n",
          'stray.ts': "import {\n  a,\n} from 'undeclared/deep/path';\n",
        },
      ),
      'edge-agent': workspace(
        'edge-agent',
        { dependencies: {}, devDependencies: { tap: '1', fastify: '1' } },
        {
          'sqlite.ts': "import { DatabaseSync } from 'node:sqlite';\n",
          'tap.ts': "import t from 'tap';\n",
          supervisor: { 'supervisor.ts': "import '../native/native-engine.ts';\n" },
          native: {
            tls: { 'a.ts': "import '../http/b.ts';\n" },
            http: { 'b.ts': '' },
            'native-engine.ts': '',
          },
          'http.ts': "import { createServer } from 'node:http';\n",
          'types.ts': "import type { Server } from 'node:http';\nimport { connect } from 'node:net';\n",
        },
        {
          'tap.test.ts':
            "import t from 'tap';\nimport fastify from 'fastify';\nprocess.env.X = '1';\nimport 'nope';\n",
        },
      ),
    },
  });
  t.strictSame(findBreaches(root).sort(), [
    'apps/control-plane/src/attic/old.ts: architecture.ts does not say where the room attic of apps/control-plane stands',
    'apps/control-plane/src/edges.ts: apps/control-plane may not import @lockstep/edge-agent',
    'apps/control-plane/src/log.ts: the root logger is made in main.ts only',
    'apps/control-plane/src/near.ts: reaches into another package by path: ../../edge-agent/src/feed.ts',
    'apps/control-plane/src/redis.ts: only packages/store may import ioredis',
    'apps/control-plane/src/server.ts: process.env is read in a config.ts only',
    'apps/control-plane/src/straight.ts: the store is changed through changes/writes.ts only',
    "apps/control-plane/src/stray.ts: undeclared is not declared in the package's dependencies",
    'apps/control-plane/src/time/iso.ts: the room time of apps/control-plane may not import api',
    'apps/control-plane/src/time/iso.ts: the room time of apps/control-plane may not import what lies beside the rooms',
    "apps/edge-agent/src/http.ts: takes node:http by an import, not by process.getBuiltinModule('node:http')",
    'apps/edge-agent/src/native/tls/a.ts: the room tls of apps/edge-agent/native may not import http',
    'apps/edge-agent/src/sqlite.ts: only packages/store may import node:sqlite',
    'apps/edge-agent/src/supervisor/supervisor.ts: the room supervisor of apps/edge-agent may not import native',
    "apps/edge-agent/src/tap.ts: tap is not declared in the package's dependencies",
    "apps/edge-agent/test/tap.test.ts: nope is not declared in the package's devDependencies",
    'import one another: apps/control-plane/src/api/server.ts, apps/control-plane/src/time/iso.ts',
    'import one another: apps/control-plane/src/one.ts, apps/control-plane/src/two.ts',
    'packages/contract/src/index.ts: contract may import zod only, not left',
    'packages/store/src/index.ts: packages/store may not import @lockstep/pki',
  ]);
});

t.test('imports are found in every form, and not in comments', async (t) => {
  const source = [
    'import a from \'a\'; import * as b from "b";',
    "import type { C } from 'c';",
    "import {\n  d,\n  type E,\n} from 'd';",
    "export { f } from 'f'; export * from 'g';",
    "import 'h';",
    "const url = 'https://x'; const i = await import('i');",
    "import j, { k } from 'j' with { type: 'json' };",
    "// import 'no1'\n/* import 'no2' */",
    'void [a, b, d, j, k, url, i];',
  ].join('\n');
  const imports = readImports(source);
  t.strictSame(
    imports.map(({ specifier }) => specifier),
    ['a', 'b', 'c', 'd', 'f', 'g', 'h', 'i', 'j'],
  );
  t.strictSame(
    imports.filter(({ typeOnly }) => typeOnly).map(({ specifier }) => specifier),
    ['c'],
  );
});

interface Tree {
  [name: string]: string | Tree;
}

function workspace(name: string, manifest: object, src: Tree, test: Record<string, string> = {}) {
  return { 'package.json': JSON.stringify({ name: `@lockstep/${name}`, ...manifest }), src, test };
}
