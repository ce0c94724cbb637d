import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '@lockstep/contract';

/** The epoch of the store that this data folder has worked with; null before the first. */
export async function readSeenEpoch(dataDir: string): Promise<string | null> {
  try {
    return (await readFile(join(dataDir, 'epoch'), 'utf8')).trim() || null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new AppError('bad_configuration', `the data folder "${dataDir}" cannot be read`, { cause: error });
  }
}

/** Remembers the epoch: from now on an empty store is a lost one. */
export async function rememberEpoch(dataDir: string, epoch: string): Promise<void> {
  const path = join(dataDir, 'epoch');
  await writeFile(`${path}.new`, `${epoch}\n`);
  await rename(`${path}.new`, path);
}
