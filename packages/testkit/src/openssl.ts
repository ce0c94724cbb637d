import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder, fetchDebianPackages } from './debian-package.ts';

const run = promisify(execFile);

/** Runs an openssl command in a folder, and rejects when it fails. */
export async function runOpenssl(
  cwd: string,
  ...args: string[]
): Promise<{ stdout: string; stderr: string }> {
  const { command, env } = await opensslCommand();
  return run('/usr/bin/env', [...env, command, ...args], { cwd });
}

let found: Promise<{ command: string; env: string[] }> | null = null;

/** The installed openssl, or else Debian's, fetched once, with the variables it needs. */
export function opensslCommand(): Promise<{ command: string; env: string[] }> {
  found ??= findOpenssl();
  return found;
}

async function findOpenssl(): Promise<{ command: string; env: string[] }> {
  const installed = await run('openssl', ['version']).then(
    () => true,
    () => false,
  );
  if (installed) return { command: 'openssl', env: [] };
  const tree = cacheFolder('openssl');
  await fetchDebianPackages({ packages: ['openssl', 'libssl3'], into: tree });
  const libraries = join(tree, 'usr/lib');
  const triplet = (await readdir(libraries)).find((name) => name.endsWith('-linux-gnu'))!;
  return { command: join(tree, 'usr/bin/openssl'), env: [`LD_LIBRARY_PATH=${join(libraries, triplet)}`] };
}
