import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { debianArchive } from './debian-archive.ts';
import { withFileLock } from './file-lock.ts';

const run = promisify(execFile);
const cacheRoot = resolve(import.meta.dirname, '../../../node_modules/.cache/lockstep');

/** A folder of this checkout's cache, by name and processor: what `fetchDebianPackages` fills once and keeps. */
export function cacheFolder(name: string): string {
  return join(cacheRoot, `${name}-${process.arch}`);
}

export interface DebianPackages {
  packages: readonly string[];
  /** Another suite of the system's own mirror, like `unstable`; default: the system's. */
  suite?: string;
  /** The folder that holds the extracted tree afterwards. */
  into: string;
}

/**
 * Downloads and extracts packages with apt, without root and without touching the system's lists, cache or packages.
 * A folder that is there is complete and left as it is; processes that ask at once wait for the first. Rejects
 * where there is no apt.
 */
export async function fetchDebianPackages({ packages, suite, into }: DebianPackages): Promise<void> {
  if (await exists(into)) return;
  await mkdir(dirname(into), { recursive: true });
  await withFileLock(`${into}.lock`, async () => {
    if (await exists(into)) return;
    const work = await mkdtemp(join(dirname(into), `.${basename(into)}-`));
    try {
      await rename(await download(work, packages, suite), into);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
}

async function download(work: string, packages: readonly string[], suite?: string): Promise<string> {
  const tree = join(work, 'tree');
  const debs = join(work, 'debs');
  for (const folder of ['lists/partial', 'cache/archives/partial', 'debs', 'tree']) {
    await mkdir(join(work, folder), { recursive: true });
  }
  await writeFile(join(work, 'own.sources'), await debianArchive(suite));
  await writeFile(join(work, 'status'), '');
  await writeFile(join(work, 'apt.conf'), aptConfiguration(work));
  const apt = (...args: string[]) =>
    run('apt-get', ['-q', '-c', join(work, 'apt.conf'), ...args], { cwd: debs });
  await apt('update');
  await apt('download', ...packages);
  for (const deb of await readdir(debs)) await run('dpkg', ['-x', join(debs, deb), tree]);
  return tree;
}

/** Read after the system's own files, whose proxies still count; its hooks and pins do not. */
function aptConfiguration(work: string): string {
  return `
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::PDiffs "false";
Acquire::Retries "3";
Dir::Etc::sourcelist "${work}/own.sources";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
Dir::State::Lists "${work}/lists";
Dir::State::status "${work}/status";
Dir::Cache "${work}/cache";
`;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
