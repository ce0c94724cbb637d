import { setTimeout as delay } from 'node:timers/promises';

export interface WaitForOptions {
  /** Ends the error: "after 10000 ms still waiting for …". */
  what: string;
  timeoutMs?: number;
  intervalMs?: number;
}

/**
 * The first result of `check` that is neither false, null nor undefined. For processes outside the test that announce
 * nothing; where there is an event, wait for that. What `check` throws counts as not yet, and becomes the cause.
 */
export async function waitFor<T>(
  check: () => T | Promise<T>,
  { what, timeoutMs = 10_000, intervalMs = 20 }: WaitForOptions,
): Promise<Exclude<T, false | null | undefined>> {
  const end = performance.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      const result = await check();
      if (result !== false && result !== null && result !== undefined) {
        return result as Exclude<T, false | null | undefined>;
      }
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= end)
      throw new Error(`after ${timeoutMs} ms still waiting for ${what}`, { cause });
    await delay(intervalMs);
  }
}
