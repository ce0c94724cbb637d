import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('../..', import.meta.url));

export interface ReleaseDifferences {
  /** It knows a kind of records more, the notice, and control planes call no route live at an edge that does not. */
  notices: boolean;
  /** Of the kind `route`; this checkout has version 1. */
  routeVersion: 1 | 2;
}

/** Another release of this product, which it makes in `root`: a copy of the sources with few differences. */
export async function buildRelease(root: string, differences: ReleaseDifferences): Promise<string> {
  for (const group of ['packages', 'apps']) {
    for (const name of await readdir(join(here, group))) await copyPackage(join(group, name), root);
  }
  await cp(join(here, 'package.json'), join(root, 'package.json'));
  await linkModules(root);
  const edit = (path: string, before: string, after: string) => replaceIn(join(root, path), before, after);

  if (differences.routeVersion === 2) {
    await edit(
      'packages/contract/src/records/route.ts',
      '  version: 1,\n',
      '  version: 2,\n  upgrade: (value) => value as unknown as RouteRecord,\n',
    );
  }
  if (differences.notices) {
    await writeFile(join(root, 'packages/contract/src/records/notice.ts'), noticeModule);
    const kinds = 'packages/contract/src/records/kinds.ts';
    await edit(kinds, '  staple,\n', '  staple,\n  notice,\n');
    await edit(kinds, 'import ', "import { notice } from './notice.ts';\nimport ");
    const worker = 'apps/edge-agent/src/native/worker';
    await edit(`${worker}/served-kinds.ts`, "  'staple',\n", "  'staple',\n  'notice',\n");
    await edit(
      `${worker}/configuration.ts`,
      '    staple: staples,\n',
      '    staple: staples,\n    notice: { ids: () => [], delete() {} },\n',
    );
    await edit(
      'apps/control-plane/src/routes/route-status.ts',
      '[route, ...valid]',
      "[route, { kind: 'notice', id: 'all', revision: 0 }, ...valid]",
    );
  }
  return root;
}

const noticeModule = `
import { recordKind } from './kind-module.ts';

export const notice = recordKind<{ text: string }>()({
  kind: 'notice',
  audience: 'edge',
  version: 1,
  secret: {},
  journal: () => true,
});
`;

async function copyPackage(path: string, root: string): Promise<void> {
  for (const part of ['src', 'bin', 'package.json']) {
    await cp(join(here, path, part), join(root, path, part), { recursive: true }).catch(ignoreMissing);
  }
  await symlink(join(here, path, 'node_modules'), join(root, path, 'node_modules'));
}

/** What is installed is shared; the packages of the repository are the copy's own. */
async function linkModules(root: string): Promise<void> {
  const modules = join(root, 'node_modules');
  await mkdir(join(modules, '@lockstep'), { recursive: true });
  for (const name of await readdir(join(here, 'node_modules'))) {
    if (name === '@lockstep' || name === '.cache') continue;
    await symlink(join(here, 'node_modules', name), join(modules, name));
  }
  for (const group of ['packages', 'apps']) {
    for (const name of await readdir(join(root, group)))
      await symlink(join(root, group, name), join(modules, '@lockstep', basename(name)));
  }
}

async function replaceIn(path: string, before: string, after: string): Promise<void> {
  const text = await readFile(path, 'utf8');
  if (!text.includes(before)) throw new Error(`${path} has no ${JSON.stringify(before)} any more`);
  await writeFile(path, text.replace(before, after));
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
