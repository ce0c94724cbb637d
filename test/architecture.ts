import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { readImports, withoutComments } from './imports.ts';
import { findRings } from './rings.ts';

/** One workspace folder, and what its package.json declares. */
interface Workspace {
  folder: string;
  name: string;
  dependencies: Set<string>;
  devDependencies: Set<string>;
}

/** Which workspaces' sources each may import, tests aside. Apps never import each other, save cli, which starts them. */
const mayImport: Record<string, string[]> = {
  'packages/contract': [],
  'packages/caddy': ['contract'],
  'packages/store': ['contract'],
  'packages/pki': ['contract'],
  'packages/testkit': ['contract', 'store', 'pki'],
  'packages/client': [],
  'apps/control-plane': ['contract', 'caddy', 'store', 'pki'],
  'apps/edge-agent': ['contract', 'store', 'pki'],
  'apps/cli': ['contract', 'caddy', 'store', 'pki', 'client', 'control-plane', 'edge-agent'],
};

/**
 * The rooms of a folder of sources, from the lowest: each imports those before it alone, and of those that stand together none another. Files
 * beside them, where the folder begins, import any, and are imported by none of them.
 */
const rooms: Record<string, (string | string[])[]> = {
  'packages/contract/src': ['shared', 'api', 'records', 'edge'],
  'packages/store/src': ['interface', 'rules', 'following', ['sqlite', 'redis'], 'cache', 'backup'],
  'packages/pki/src': ['shared', 'sealing', 'certificates', ['acme', 'ocsp']],
  'apps/control-plane/src': [
    ...[
      'time',
      'validation',
      'names',
      'auth',
      'changes',
      'tokens',
      'idempotency',
      'due-work',
      'startup',
      'outbound',
      'dns',
      'fleet',
      'stapling',
      'session-tickets',
      'orders',
      'issuers',
    ],
    ...[
      'certificates',
      'settings',
      'issuance',
      'on-demand',
      'ownership',
      'routes',
      'instructions',
      'events',
      'webhooks',
      'keys',
      'monitoring',
      'api',
      'caddy-api',
      'openapi',
    ],
  ],
  // The supervisor knows an engine by its interface alone, and no engine knows the supervisor.
  'apps/edge-agent/src': ['startup', 'feed', 'server', 'engine', ['supervisor', 'native'], 'child'],
  'apps/edge-agent/src/native': [
    ['clients', 'on-demand'],
    ...['upstreams', 'rules', 'routing', 'tls', 'http', 'observation', 'worker', 'processes'],
  ],
};

const onlyImporter: Record<string, string> = {
  ioredis: 'packages/store',
  'node:sqlite': 'packages/store',
  'acme-client': 'packages/pki',
  fastify: 'apps/control-plane',
  'openapi-fetch': 'packages/client',
};

/** Every breach of the rules of CONTRIBUTING.md below `root`, as `file: what is wrong`. */
export function findBreaches(root: string): string[] {
  const workspaces = ['packages', 'apps']
    .flatMap((parent) => list(join(root, parent)).map((name) => `${parent}/${name}`))
    .concat('test')
    .filter((folder) => list(join(root, folder)).includes('package.json'))
    .map((folder) => readWorkspace(root, folder));
  const faults = workspaces.flatMap((workspace) =>
    sourceFiles(join(root, workspace.folder)).flatMap((path) => {
      const file = relative(root, path).split(sep).join('/');
      return checkFile(file, readFileSync(path, 'utf8'), workspace, root).map((fault) => `${file}: ${fault}`);
    }),
  );
  const all = workspaces.flatMap(({ folder }) => sourceFiles(join(root, folder)));
  const rings = findRings(root, all).map((ring) => `import one another: ${ring.join(', ')}`);
  return [...faults, ...rings];
}

function checkFile(file: string, source: string, workspace: Workspace, root: string): string[] {
  const { folder } = workspace;
  const isTest = folder === 'test' || file.startsWith(`${folder}/test/`);
  const faults: string[] = [];
  for (const { specifier, typeOnly } of readImports(source)) {
    if (specifier.startsWith('.')) {
      const target = relative(join(root, folder), join(root, dirname(file), specifier));
      if (target.startsWith('..')) faults.push(`reaches into another package by path: ${specifier}`);
      else faults.push(...checkRooms(file, `${folder}/${target.split(sep).join('/')}`));
      continue;
    }
    const name = packageOf(specifier);
    const owner = onlyImporter[name];
    if (owner !== undefined && owner !== folder && !isTest) faults.push(`only ${owner} may import ${name}`);
    if (isBuiltin(specifier)) {
      // An import reads each export. Those of node:http that are lazy load Node's own undici, those of node:tls its list of roots:
      // 10 MB and a tenth of an edge's start.
      if (!isTest && folder !== 'packages/testkit' && /^node:(http|tls)$/.test(name) && !typeOnly)
        faults.push(`takes ${name} by an import, not by process.getBuiltinModule('${name}')`);
      continue;
    }
    if (!isTest && folder === 'packages/contract' && name !== 'zod')
      faults.push(`contract may import zod only, not ${name}`);
    else if (!isTest) faults.push(...checkDirection(folder, name));
    faults.push(...checkDeclared(workspace, name, isTest, typeOnly));
  }
  if (!isTest) faults.push(...checkText(file, withoutComments(source)));
  return faults;
}

function checkRooms(file: string, target: string): string[] {
  return Object.entries(rooms).flatMap(([house, order]) => {
    const [from, to] = [roomOf(house, file), roomOf(house, target)];
    if (from === null || to === null || from === to || from === '') return [];
    const name = house.replace('/src', '');
    const place = placeOf(order, from);
    if (place === -1) return [`architecture.ts does not say where the room ${from} of ${name} stands`];
    const other = placeOf(order, to);
    return other !== -1 && other < place
      ? []
      : [`the room ${from} of ${name} may not import ${to === '' ? 'what lies beside the rooms' : to}`];
  });
}

function placeOf(order: (string | string[])[], room: string): number {
  return order.findIndex((one) => (typeof one === 'string' ? one === room : one.includes(room)));
}

/** The folder right below the house; empty for a file that lies there itself, null for one elsewhere. */
function roomOf(house: string, path: string): string | null {
  if (!path.startsWith(`${house}/`)) return null;
  const [room, inside] = path.slice(house.length + 1).split('/', 2);
  return inside === undefined ? '' : room!;
}

function checkDirection(folder: string, name: string): string[] {
  const target = /^@lockstep\/(.+)$/.exec(name)?.[1];
  if (target === undefined || folder.endsWith(`/${target}`)) return [];
  const allowed = mayImport[folder];
  if (allowed === undefined) return [`architecture.ts does not say what ${folder} may import`];
  return allowed.includes(target) ? [] : [`${folder} may not import ${name}`];
}

function checkDeclared(
  { name: self, dependencies, devDependencies }: Workspace,
  name: string,
  isTest: boolean,
  typeOnly: boolean,
) {
  if (name === self || dependencies.has(name)) return [];
  if ((isTest || typeOnly) && (devDependencies.has(name) || devDependencies.has(typesOf(name)))) return [];
  return [`${name} is not declared in the package's ${isTest ? 'devDependencies' : 'dependencies'}`];
}

function checkText(file: string, source: string): string[] {
  const base = file.slice(file.lastIndexOf('/') + 1);
  // The launchers of apps/cli/bin run before any module of the program does; testkit is for tests only.
  const mayReadEnvironment = base === 'config.ts' || /^(apps\/cli\/bin|packages\/testkit)\//.test(file);
  return [
    ...(/\bprocess\s*\.\s*env\b|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b/.test(source) && !mayReadEnvironment
      ? ['process.env is read in a config.ts only']
      : []),
    ...(/(?:^|[^\w$.])pino\s*\(/.test(source) && base !== 'main.ts'
      ? ['the root logger is made in main.ts only']
      : []),
    ...(/\bstore\s*\.\s*commit\s*\(/.test(source) &&
    /^apps\/control-plane\/src\/(?!changes\/writes\.ts$)/.test(file)
      ? ['the store is changed through changes/writes.ts only']
      : []),
  ];
}

function packageOf(specifier: string): string {
  if (isBuiltin(specifier)) return specifier.startsWith('node:') ? specifier : `node:${specifier}`;
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function typesOf(name: string): string {
  return `@types/${name.replace(/^@/, '').replace('/', '__')}`;
}

function readWorkspace(root: string, folder: string): Workspace {
  const manifest = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  return {
    folder,
    name: manifest.name,
    dependencies: new Set(Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })),
    devDependencies: new Set(Object.keys(manifest.devDependencies ?? {})),
  };
}

/** TypeScript and JavaScript below a folder, without fixtures and what was installed. */
function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      return /^(node_modules|fixtures|\..*|tap-testdir.*)$/.test(entry.name) ? [] : sourceFiles(path);
    }
    return /(?<!\.d)\.[cm]?[jt]s$/.test(entry.name) ? [path] : [];
  });
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
