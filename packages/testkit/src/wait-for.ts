import { setTimeout as delay } from 'node:timers/promises';

export interface WaitForOptions {
  /** Ends the error: "after 10000 ms still waiting for …". */
  what: string;
  /** How long nothing may come of it before it fails; default 60 s, which a broken product alone reaches. */
  timeoutMs?: number;
  intervalMs?: number;
  /** How far it has come: as long as this changes, the time begins anew. */
  progress?: () => unknown;
}

/**
 * The first result of `check` that is neither false, null nor undefined. For processes outside the test that announce
 * nothing; where there is an event, wait for that. What `check` throws counts as not yet, and becomes the cause.
 *
 * A busy machine makes it slow, not fail: each look counts for `intervalMs`, however late its turn came.
 */
export async function waitFor<T>(
  check: () => T | Promise<T>,
  { what, timeoutMs = 60_000, intervalMs = 20, progress }: WaitForOptions,
): Promise<Exclude<T, false | null | undefined>> {
  let leftMs = timeoutMs;
  let reached = progress?.();
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
    const now = progress?.();
    if (now !== reached) leftMs = timeoutMs;
    reached = now;
    if (leftMs <= 0) throw new Error(`after ${timeoutMs} ms still waiting for ${what}`, { cause });
    await delay(intervalMs);
    leftMs -= intervalMs;
  }
}
