import type { Readiness } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Fleet } from './fleet/fleet.ts';
import type { StoreClock } from './fleet/store-clock.ts';

export type Ready = () => Promise<Readiness>;

export interface ReadinessOptions {
  store: ConfigStore;
  fleet: Fleet;
  clock: Pick<StoreClock, 'fault' | 'skewMs'>;
  /** How many have to be live for readiness, however few were heard of. */
  expectedEdges: number;
}

export function createReadiness({ store, fleet, clock, expectedEdges }: ReadinessOptions): Ready {
  async function checkStore() {
    try {
      const { epoch } = await store.head();
      const ok = epoch === store.epoch;
      return { name: 'store', ok, detail: ok ? 'answers' : 'holds another history than the one opened' };
    } catch {
      return { name: 'store', ok: false, detail: 'does not answer' }; // nobody had to show a token: where it is, the log says
    }
  }

  return async () => {
    const { nodes } = fleet.view();
    const live = nodes.filter(({ fault }) => fault === null).length;
    const edges = {
      name: 'edges',
      ok: live >= expectedEdges,
      detail: `${live} live, ${Math.max(nodes.length, expectedEdges)} expected`,
    };
    const fault = clock.fault();
    const clockCheck = {
      name: 'clock',
      ok: fault === null,
      detail: fault ?? `${clock.skewMs()} ms from the store’s`,
    };
    const checks = [await checkStore(), edges, clockCheck];
    return { status: checks.every(({ ok }) => ok) ? 'ready' : 'not_ready', checks };
  };
}
