import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, fetchDebianPackages } from '@lockstep/testkit';
import { findVersion } from './peers/peer.ts';
import { print } from './report.ts';

export interface Tool {
  command: string;
  version: string;
  /** Of the loader, for one that is not installed; empty for one that is. */
  env: Record<string, string>;
}

/** What comes with few libraries of its own. */
const packagesOf: Record<string, readonly string[]> = {
  caddy: ['caddy'],
  h2load: ['nghttp2-client', 'libnghttp2-14', 'libev4', 'libjansson4', 'libc-ares2', 'libjemalloc2'],
};

/** A program on PATH, or Debian's, fetched once into the cache of this checkout; null, and said so, where there is neither. */
export async function findTool(name: string): Promise<Tool | null> {
  const installed = findVersion(name);
  if (installed !== null) return { command: name, version: installed, env: {} };
  const packages = packagesOf[name];
  if (packages !== undefined) {
    try {
      const tree = cacheFolder(`bench-${name}`);
      await fetchDebianPackages({ packages, into: tree });
      const libraries = join(tree, 'usr/lib');
      const triplet = existsSync(libraries)
        ? readdirSync(libraries).find((folder) => folder.endsWith('-linux-gnu'))
        : undefined;
      const env = triplet === undefined ? {} : { LD_LIBRARY_PATH: join(libraries, triplet) };
      const command = join(tree, 'usr/bin', name);
      const version = findVersion(command, env);
      if (version !== null) return { command, version, env };
    } catch (error) {
      print(`${name} could not be fetched: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  print(`${name} is not on PATH: left out`);
  return null;
}
