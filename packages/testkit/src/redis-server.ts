import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Child } from './child.ts';
import { startChild } from './child.ts';
import { cacheFolder, fetchDebianPackages } from './debian-package.ts';
import { freePort } from './free-port.ts';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** Of the process that runs now; another after `start`. */
  readonly pid: number;
  /** SIGTERM: it saves and says goodbye. Resolves when it is gone. */
  stop(): Promise<void>;
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port and folder, after `stop` or `kill`. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export interface RedisOptions {
  /** Added to the command line, where the last word on a setting wins. */
  args?: readonly string[];
  /** Where it keeps its files; default: a temporary folder that goes with `close`. */
  dir?: string;
}

/** A Redis of the test's own, on loopback, with AOF (fsync every second) and no snapshots. Resolves when it answers. */
export async function startRedis({ args = [], dir }: RedisOptions = {}): Promise<RedisServer> {
  const { command, env } = await redisCommand();
  const folder = dir ?? (await mkdtemp(join(tmpdir(), 'lockstep-redis-')));
  let port = 0;
  let child: Child | null = null;

  async function start(): Promise<void> {
    if (child !== null && child.ended() === null) return;
    const started = startChild({ command, args: [...baseArgs(port, folder), ...args], env, cwd: folder });
    child = started;
    await waitFor(
      async () => {
        if (started.ended() !== null) return 'ended';
        return (await ping(port, started.pid)) && 'answers';
      },
      { what: `redis-server on port ${port}` },
    );
    if (started.ended() !== null) {
      throw new Error(`redis-server ended (${started.ended()}): ${started.log.slice(-5).join(' | ')}`);
    }
  }

  for (let attempt = 1; ; attempt++) {
    port = await freePort();
    try {
      await start();
      break;
    } catch (error) {
      const taken = (child as Child | null)?.log.some((line) => line.includes('Address already in use'));
      if (taken && attempt < 5) continue;
      await (child as Child | null)?.signal('SIGKILL');
      if (dir === undefined) await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  return {
    get url() {
      return `redis://127.0.0.1:${port}`;
    },
    get port() {
      return port;
    },
    get pid() {
      return child!.pid;
    },
    stop: () => child!.signal('SIGTERM'),
    kill: () => child!.signal('SIGKILL'),
    start,
    async close() {
      await child!.signal('SIGKILL');
      // A process that it has forked, to write its log anew, goes on for a moment.
      await child!.closed;
      if (dir === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface Command {
  command: string;
  env: Record<string, string>;
}

/** Debian's redis-server, fetched once; where that fails (no apt, no network), the installed one. */
export async function redisCommand(): Promise<Command> {
  const tree = cacheFolder('redis');
  try {
    await fetchDebianPackages({
      // The first is a link into the second, which needs the rest.
      packages: ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1', 'libatomic1'],
      into: tree,
    });
  } catch (error) {
    await run('redis-server', ['--version']).catch(() => {
      throw error;
    });
    return { command: 'redis-server', env: {} };
  }
  const libraries = await readdir(join(tree, 'usr/lib'));
  const triplet = libraries.find((name) => name.endsWith('-linux-gnu'))!;
  return {
    command: join(tree, 'usr/bin/redis-server'),
    env: { LD_LIBRARY_PATH: join(tree, 'usr/lib', triplet) },
  };
}

function baseArgs(port: number, dir: string): string[] {
  const settings = { port, dir, bind: '127.0.0.1', save: '', appendonly: 'yes', appendfsync: 'everysec' };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

/** Whether this very process answers: another one may have got the port first. */
function ping(port: number, pid: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('INFO server\r\n'));
    let answer = '';
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
    socket.setEncoding('utf8').on('data', (text) => {
      answer += text;
      if (answer.includes(`process_id:${pid}\r\n`)) resolve(true);
      else if (!answer.startsWith('-') && !answer.includes('redis_git_sha1')) return;
      socket.destroy();
    });
  });
}
