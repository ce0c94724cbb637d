import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { AppError, isAppError } from '@lockstep/contract';
import type { Redis } from 'ioredis';
import type { StoreLog } from '../interface/log.ts';
import { silence, watchProgress } from './connection-progress.ts';
import { createCommandClient } from './redis-clients.ts';
import { connectionLost, isLost, toStoreError, wasNotSent } from './redis-error.ts';
import type { RedisTarget } from './store-url.ts';

/** For a connection to stand. */
const waitMs = 2_500;

export type RedisCommands = ReturnType<typeof createRedisCommands>;

/**
 * A connection for commands. Each fails with `store_unavailable` when there is no connection for a while, or when the one there
 * is goes silent (see `watchProgress`); reconnection goes on for ever.
 */
export function createRedisCommands(
  target: RedisTarget,
  log: StoreLog,
  { blockedMs = () => 0 }: { blockedMs?: () => number } = {},
) {
  const watches = new Set<ReturnType<typeof watchProgress>>();
  const client = createCommandClient(target, (connection) => {
    const watch = watchProgress(connection, { blockedMs });
    watches.add(watch);
    connection.once('end', () => watches.delete(watch));
  });
  client.setMaxListeners(0);
  let lastError: unknown = null;
  let closed = false;
  let troubled = false;
  const lost = toStoreError(new Error(connectionLost), target.shown).message;
  client.on('error', (error: unknown) => {
    lastError = error;
    if (troubled || closed) return;
    troubled = true;
    log.warn({ store: target.shown, reason: toStoreError(error, target.shown).message }, 'store unreachable');
  });
  client.on('ready', () => {
    lastError = null;
    if (troubled) log.info({ store: target.shown }, 'store reached again');
    troubled = false;
  });

  return { run, read, runScript, readByScript, close };

  /** As `run`, for what may be asked twice: once more where the connection broke off under it. */
  async function read<T>(work: (client: Redis) => Promise<T>): Promise<T> {
    try {
      return await run(work);
    } catch (error) {
      if (!isAppError(error, 'store_unavailable') || error.message !== lost) throw error;
      return run(work);
    }
  }

  async function run<T>(work: (client: Redis) => Promise<T>): Promise<T> {
    try {
      if (client.status !== 'ready') await nextReady();
      try {
        return await answerOf(work(client));
      } catch (error) {
        // The connection was ending when the command came.
        if (!wasNotSent(error)) throw error;
        await nextReady();
        return await answerOf(work(client));
      }
    } catch (error) {
      throw toStoreError(error, target.shown);
    }
  }

  /** EVALSHA, and EVAL where the server does not know the script (it was restarted, or is new). */
  async function runScript(script: Script, keys: string[], args: (string | number)[]): Promise<unknown> {
    return run((redis) => evaluate(redis, script, keys, args));
  }

  /** As `runScript`, for one that changes nothing: once more where the connection broke off under it. */
  async function readByScript(script: Script, keys: string[], args: ScriptArgument[]): Promise<unknown> {
    return read((redis) => evaluate(redis, script, keys, args));
  }

  async function nextReady(): Promise<void> {
    // Connecting again would keep a process alive that has closed its store.
    if (closed) throw new AppError('store_unavailable', 'the store is closed');
    if (client.status === 'wait' || client.status === 'end') client.connect().catch(() => {});
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        client.off('ready', onReady);
        reject(lastError ?? new Error('no connection'));
      }, waitMs);
      const onReady = () => {
        clearTimeout(timer);
        resolve();
      };
      client.once('ready', onReady);
    });
  }

  async function answerOf<T>(answer: Promise<T>): Promise<T> {
    const before = givenUp();
    try {
      return await answer;
    } catch (error) {
      throw givenUp() > before && isLost(error) ? new Error(silence) : error;
    }
  }

  function givenUp(): number {
    return [...watches].reduce((sum, watch) => sum + watch.givenUp, 0);
  }

  function close(): void {
    closed = true;
    for (const watch of watches) watch.stop();
    client.disconnect();
  }
}

type ScriptArgument = string | number | Buffer;

async function evaluate(
  redis: Redis,
  script: Script,
  keys: string[],
  args: ScriptArgument[],
): Promise<unknown> {
  try {
    return await redis.evalsha(script.sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return redis.eval(script.lua, keys.length, ...keys, ...args);
  }
}

export interface Script {
  lua: string;
  sha: string;
}

export function readScript(file: string): Script {
  const lua = readFileSync(new URL(`./${file}`, import.meta.url), 'utf8');
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}
