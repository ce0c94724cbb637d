import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { hostPattern } from './load-store.ts';
import { runCommand } from './run-command.ts';

const entry = fileURLToPath(new URL('./connect-load.ts', import.meta.url));

export interface ConnectOptions {
  port: number;
  /** Whom to trust. */
  certificate: string;
  /** Connections go to so many hosts in turn. */
  hosts: number;
}

/** New connections with one request each, with a full handshake or a resumed one. */
export async function runConnects(
  options: ConnectOptions & { mode: 'full' | 'resumed'; concurrency: number; seconds: number },
): Promise<{ requests: number; errors: number }> {
  const { mode, port, certificate, hosts, seconds, concurrency } = options;
  const args = [mode, port, certificate, hostPattern, hosts, seconds, concurrency].map(String);
  const { requests, errors, resumed } = JSON.parse(await runCommand(process.execPath, [entry, ...args]));
  // The first to each host has nothing to resume.
  const expected = mode === 'full' ? 0 : Math.max(0, requests - hosts - concurrency);
  return { requests, errors: errors + Math.max(0, expected - resumed) };
}

/** Opens connections, and holds them while `during` runs. */
export async function holdConnections<T>(
  { port, certificate, hosts, count }: ConnectOptions & { count: number },
  during: () => Promise<T>,
): Promise<T> {
  const args = ['hold', port, certificate, hostPattern, hosts, count].map(String);
  const child = spawn(process.execPath, [entry, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  try {
    await Promise.race([
      once(child.stdout, 'data'),
      exited.then(() => Promise.reject(new Error('no connection'))),
    ]);
    return await during();
  } finally {
    child.stdin.end();
    await exited;
  }
}
