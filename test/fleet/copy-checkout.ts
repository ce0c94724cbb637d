import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('../..', import.meta.url));

export interface CheckoutCopy {
  /** Puts `after` in place of the first `before` of a file. Throws where it has none. */
  edit(path: string, before: string, after: string): Promise<void>;
  /** Adds a file. */
  add(path: string, text: string): Promise<void>;
}

/** A copy of this checkout's sources in `root`, to be changed and run. */
export async function copyCheckout(root: string): Promise<CheckoutCopy> {
  for (const group of ['packages', 'apps']) {
    for (const name of await readdir(join(here, group))) await copyPackage(join(group, name), root);
  }
  for (const file of ['package.json', 'tsconfig.json']) await cp(join(here, file), join(root, file));
  await linkModules(root);
  return {
    edit: (path, before, after) => replaceIn(join(root, path), before, after),
    add: (path, text) => writeFile(join(root, path), text, { flag: 'wx' }),
  };
}

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
