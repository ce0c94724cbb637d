import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder, fetchDebianPackages } from './debian-package.ts';

/** Fetches what `fakeTimeEnv` needs, once. */
export async function fetchFakeTime(): Promise<string> {
  const tree = cacheFolder('faketime');
  await fetchDebianPackages({ packages: ['libfaketime'], into: tree });
  return tree;
}

/** Variables under which a process takes the wall clock to be `offset` off, as `+400d`; its timers run as ever. */
export async function fakeTimeEnv(offset: string): Promise<Record<string, string>> {
  const tree = await fetchFakeTime();
  const found = await readdir(tree, { recursive: true });
  const library = found.find((path) => path.endsWith('/libfaketime.so.1'));
  if (library === undefined) throw new Error('libfaketime is not in its package');
  return {
    LD_PRELOAD: join(tree, library),
    FAKETIME: offset,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
  };
}
