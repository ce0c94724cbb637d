// Plain JavaScript for any Node from 20 on, without dependencies: this runs in an empty checkout.
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { findPinnedNode, oldestNode, runsTypeScript } from './pinned-node.js';

/**
 * Why node_modules is not what package-lock.json describes, or null when it is. Compares contents: npm writes
 * node_modules/.package-lock.json last, so an interrupted install has none, and times mean nothing after a clone.
 */
export function findStale(root) {
  const wanted = readPackages(join(root, 'package-lock.json'));
  const installed = readPackages(installedList(root));
  if (wanted === null) return 'there is no package-lock.json';
  if (installed === null) return 'nothing is installed yet';
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.includes('node_modules/')) continue;
    const found = installed[path];
    if (found === undefined ? belongsHere(entry) : differs(found, entry)) return `${path} is missing or old`;
  }
  return null;
}

function installedList(root) {
  return join(root, 'node_modules', '.package-lock.json');
}

function differs(found, entry) {
  return (
    found.version !== entry.version ||
    found.integrity !== entry.integrity ||
    Boolean(found.link) !== Boolean(entry.link)
  );
}

function belongsHere({ os, cpu, libc }) {
  return libc === undefined && matches(os, process.platform) && matches(cpu, process.arch);
}

function matches(allowed, actual) {
  return allowed === undefined || [allowed].flat().includes(actual);
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages ?? null;
  } catch {
    return null;
  }
}

/** Brings node_modules up to date; answers the exit code. */
export function installDependencies(
  root,
  { print = (line) => process.stdout.write(`${line}\n`), run = runNpm } = {},
) {
  const stale = findStale(root);
  if (stale !== null) {
    print(`Installing dependencies (${stale}), this can take a minute …`);
    const startedAt = Date.now();
    // npm would take what an interrupted install left for whole.
    if (readPackages(installedList(root)) === null) {
      rmSync(join(root, 'node_modules'), { recursive: true, force: true });
    }
    if (run(root) !== 0) {
      print('lockstep: the dependencies could not be installed; npm says why above.');
      return 1;
    }
    print(`Installed in ${Math.round((Date.now() - startedAt) / 1000)} s.`);
  }
  if (findPinnedNode(root) !== null || runsTypeScript()) return 0;
  print(
    `lockstep: no pinned Node for ${process.platform}-${process.arch}; install Node ${oldestNode} or newer and start again.`,
  );
  return 1;
}

/**
 * Installs what the lock file names and leaves the file as it is. Not `npm ci`: it refuses a lock file that was written where
 * the registry lacked an optional package for another platform.
 */
function runNpm(root) {
  // Not with the Node inside node_modules, which may be about to change.
  const path = process.env.PATH.split(delimiter).filter((part) => !part.includes('node_modules'));
  const flags = '--no-save --include=dev --include=optional --no-audit --no-fund --loglevel=error'.split(' ');
  const { status, error } = spawnSync('npm', ['install', ...flags], {
    cwd: root,
    env: { ...process.env, PATH: path.join(delimiter) },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (error) process.stderr.write(`lockstep: npm does not start (${error.code})\n`);
  return status ?? 1;
}
