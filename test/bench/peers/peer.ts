import { spawnSync } from 'node:child_process';
import { basename } from 'node:path';
import type { Process } from '../start-process.ts';

/** A proxy to be measured beside Lockstep: serves `hosts` on `port` and forwards to the upstream. */
export interface PeerOptions {
  /** For its configuration, its log and whatever it writes. */
  folder: string;
  port: number;
  hosts: readonly string[];
  upstreamPort: number;
  /** A PEM file with key and chain. */
  pemFile: string;
  /** The program. */
  command: string;
  /** How many threads, or processes, may serve. */
  workers: number;
}

export interface Peer {
  name: string;
  start(options: PeerOptions): Promise<Process>;
}

const versionFlags: Record<string, string> = { nginx: '-v', haproxy: '-v', caddy: 'version', wrk: '-v' };

/** The version of a program; null when it is not on PATH. */
export function findVersion(command: string, env: Record<string, string> = {}): string | null {
  const { error, stdout, stderr } = spawnSync(command, [versionFlags[basename(command)] ?? '--version'], {
    encoding: 'utf8',
    timeout: 10_000,
    env: { ...process.env, ...env },
  });
  if (error) return null;
  return /\d+\.\d+(\.\d+)?/.exec(`${stdout}${stderr}`)?.[0] ?? 'of unknown version';
}
