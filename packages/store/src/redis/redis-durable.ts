import { AppError, type Durability } from '@lockstep/contract';
import type { RedisCommands, Script } from './redis-commands.ts';
import { toStoreError } from './redis-error.ts';

const scriptsAtOnce = 100;

interface Waiting {
  script: Script;
  keys: string[];
  args: (string | number)[];
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

/**
 * Runs scripts on a connection of their own, and waits until enough replicas have what they wrote. WAIT holds its connection up,
 * so those that come meanwhile share the next one.
 */
export function createDurableScripts(commands: RedisCommands, shown: string, durability: () => Durability) {
  const waiting: Waiting[] = [];
  let running = false;

  return {
    /** Resolves with the answer and whether enough replicas have it. */
    run(
      script: Script,
      keys: string[],
      args: (string | number)[],
    ): Promise<{ answer: unknown; replicas: number }> {
      return new Promise((resolve, reject) => {
        waiting.push({ script, keys, args, resolve: (answer) => resolve(answer as never), reject });
        if (!running) void runWaiting();
      });
    },
  };

  async function runWaiting(): Promise<void> {
    running = true;
    while (waiting.length > 0) {
      const group = waiting.splice(0, scriptsAtOnce);
      try {
        const results = await send(group, false);
        const [lost, replicas] = results.pop()!;
        if (lost !== null) throw lost;
        group.forEach(({ resolve, reject }, index) => {
          const [error, answer] = results[index]!;
          if (error === null) resolve({ answer, replicas: Number(replicas) });
          else reject(toStoreError(error, shown));
        });
      } catch (error) {
        for (const { reject } of group) reject(toStoreError(error, shown));
      }
    }
    running = false;
  }

  /** Whole scripts only where the server does not know them: repeated, each has its first outcome. */
  async function send(group: Waiting[], whole: boolean): Promise<[Error | null, unknown][]> {
    const { replicas, timeoutMs } = durability();
    const results = await commands.run(async (redis) => {
      const pipeline = redis.pipeline();
      for (const { script, keys, args } of group) {
        if (whole) pipeline.eval(script.lua, keys.length, ...keys, ...args);
        else pipeline.evalsha(script.sha, keys.length, ...keys, ...args);
      }
      return (await pipeline.wait(replicas, timeoutMs).exec()) ?? [];
    });
    const unknown = results.some(([error]) => error?.message.startsWith('NOSCRIPT'));
    return unknown && !whole ? send(group, true) : results;
  }
}

export function notOnReplicas({ replicas, timeoutMs }: Durability, reached: number): AppError {
  return new AppError(
    'store_unavailable',
    `the commit is made, but ${reached} of ${replicas} replicas had it within ${timeoutMs} ms`,
  );
}
