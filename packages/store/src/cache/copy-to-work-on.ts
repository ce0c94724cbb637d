import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

/**
 * Copies a cache and its lock to a temporary folder of its own, and returns where the cache is there, and what removes it. What cannot
 * be read is left out and told to `onUnreadable`.
 */
export function copyToWorkOn(
  path: string,
  onUnreadable: (file: string, error: unknown) => void,
): { path: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-edge-'));
  const name = basename(path);
  for (const suffix of ['', '-wal', '.lock', '.lock-wal']) {
    if (!existsSync(`${path}${suffix}`)) continue;
    const copy = join(folder, `${name}${suffix}`);
    try {
      copyFileSync(`${path}${suffix}`, copy);
      chmodSync(copy, 0o600); // the mode was copied with it
    } catch (error) {
      rmSync(copy, { recursive: true, force: true });
      onUnreadable(`${path}${suffix}`, error);
    }
  }
  return { path: join(folder, name), remove: () => rmSync(folder, { recursive: true, force: true }) };
}
