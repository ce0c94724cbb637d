import { EventEmitter } from 'node:events';
import { type Boundary, createBoundary } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';

/** Beyond it this process takes up no order: what it obtained might not be valid yet, or be taken for expired. */
export const clockSkewAllowedMs = 300_000;
const measureIntervalMs = 2_000;

/** The store's clock as this process knows it, and how far its own is from it. Dates that the store keeps are this clock's. */
export interface StoreClock {
  /** Milliseconds since 1970 by the store's clock. */
  now(): number;
  /** How far this process's clock is ahead of the store's; negative: behind. */
  skewMs(): number;
  /** Why this process must not issue; null: its clock is right enough. */
  fault(): string | null;
  /** Calls `listener` when `fault` came or went. */
  watch(listener: () => void): () => void;
  close(): void;
}

export interface StoreClockOptions {
  store: Pick<ConfigStore, 'now'>;
  log: Logger;
  now?: () => number;
  boundary?: Boundary;
}

/** Throws `store_unavailable` when the store's clock cannot be read at the start. */
export async function createStoreClock({
  store,
  log,
  now = Date.now,
  boundary = createBoundary(log),
}: StoreClockOptions): Promise<StoreClock> {
  const emitter = new EventEmitter().setMaxListeners(0);
  // Beside the monotonic clock, so that a jump of this machine's wall clock is seen at once.
  let known = await measure();
  let faulty = false;

  async function measure(): Promise<{ storeMs: number; atMs: number }> {
    const askedMs = performance.now();
    const storeMs = await store.now();
    return { storeMs, atMs: (askedMs + performance.now()) / 2 };
  }

  const storeNow = () => Math.round(known.storeMs + performance.now() - known.atMs);
  const skewMs = () => Math.round(now() - storeNow());

  function fault(): string | null {
    const ms = skewMs();
    if (Math.abs(ms) <= clockSkewAllowedMs) return null;
    return `the clock of this control plane is ${spanOf(Math.abs(ms))} ${ms > 0 ? 'ahead of' : 'behind'} the store’s: it issues no certificates`;
  }

  function look(): void {
    const detail = fault();
    if ((detail !== null) === faulty) return;
    faulty = detail !== null;
    if (detail !== null) log.error({ skewMs: skewMs() }, detail);
    else log.info({ skewMs: skewMs() }, 'the clock agrees with the store’s again');
    emitter.emit('change');
  }

  async function lookAgain(): Promise<void> {
    try {
      known = await measure();
    } catch (error) {
      log.debug({ err: error }, 'cannot read the store’s clock; keeping what is known');
    }
    look();
  }

  const timer = setInterval(boundary.guard('clock', lookAgain), measureIntervalMs);
  look();

  return {
    now: storeNow,
    skewMs,
    fault,
    watch(listener) {
      emitter.on('change', listener);
      return () => emitter.off('change', listener);
    },
    close: () => clearInterval(timer),
  };
}

const units = [
  ['days', 86_400_000],
  ['hours', 3_600_000],
  ['minutes', 60_000],
  ['seconds', 1_000],
] as const;

/** A length of time in words, in its largest unit of which there are two or more. */
export function spanOf(ms: number): string {
  const [unit, unitMs] = units.find(([, one]) => ms >= 2 * one) ?? ['seconds', 1_000];
  return `${Math.round(ms / unitMs)} ${unit}`;
}
