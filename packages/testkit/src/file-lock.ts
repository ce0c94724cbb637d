import { readFile, rm, writeFile } from 'node:fs/promises';
import { waitFor } from './wait-for.ts';

/**
 * Runs `work` while no other process of this machine does so under the same lock file. A lock whose process is gone is
 * taken over; in a rare race two may take it over together, so `work` must bear that.
 */
export async function withFileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  await waitFor(() => take(path), { what: `the lock ${path}`, timeoutMs: 300_000, intervalMs: 100 });
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function take(path: string): Promise<boolean> {
  try {
    await writeFile(path, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const holder = Number(await readFile(path, 'utf8').catch(() => ''));
  if (holder > 0 && !isAlive(holder)) await rm(path, { force: true });
  return false;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
