import { type Boundary, createBoundary, type FleetStatus } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import { iso } from '../time/iso.ts';
import { createSharedRun } from '../time/shared-run.ts';

const lookIntervalMs = 2_000;
/** Damages that are told of. */
const mostTold = 100;

/** Whether the store answers, with the history that this control plane opened, and is what it has to be: looked at every 2 s. */
export interface StoreWatch {
  state(): FleetStatus['store'];
  /** Looks now. */
  look(): Promise<FleetStatus['store']>;
  close(): void;
}

export interface StoreWatchOptions {
  store: Pick<ConfigStore, 'check' | 'head' | 'epoch'>;
  now: () => number;
  log: Logger;
  boundary?: Boundary;
}

export function createStoreWatch({
  store,
  now,
  log,
  boundary = createBoundary(log),
}: StoreWatchOptions): StoreWatch {
  let trouble: { reachable: boolean; since: number; detail: string } | null = null;
  let damage: FleetStatus['store']['damage'] = [];

  async function find(): Promise<{ reachable: boolean; detail: string } | null> {
    try {
      const found = await store.check();
      for (const { key, detail, mended } of found) {
        damage = damage.filter((one) => one.mended || one.key !== key);
        damage = [...damage, { key, detail, mended, at: iso(now()) }].slice(-mostTold);
        if (mended) log.error({ key, detail }, 'a key of the store was damaged, and was made anew');
      }
      const lasting = found.find(({ mended }) => !mended);
      if (lasting !== undefined) {
        const detail = `is damaged: its key ${lasting.key} ${lasting.detail}; restore a backup`;
        return { reachable: true, detail };
      }
      damage = damage.filter(({ mended }) => mended);
      const { epoch } = await store.head();
      if (epoch === store.epoch) return null;
      return { reachable: true, detail: 'holds another history than the one opened' };
    } catch (error) {
      return { reachable: false, detail: error instanceof Error ? error.message : String(error) };
    }
  }

  const look = createSharedRun(async () => {
    const found = await find();
    if (found?.detail !== trouble?.detail) {
      if (found === null) log.info('the store is well again');
      else log.error({ reason: found.detail }, 'the store is not well');
    }
    trouble = found === null ? null : { ...found, since: trouble?.since ?? now() };
    return state();
  });

  function state(): FleetStatus['store'] {
    const { reachable = true, since = null, detail = null } = trouble ?? {};
    return { reachable, since: since === null ? null : iso(since), detail, damage };
  }

  const timer = setInterval(boundary.guard('store', look), lookIntervalMs);
  return { state, look, close: () => clearInterval(timer) };
}
