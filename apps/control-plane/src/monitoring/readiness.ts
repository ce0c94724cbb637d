import type { Readiness } from '@lockstep/contract';
import type { Fleet } from '../fleet/fleet.ts';
import type { StoreClock } from '../fleet/store-clock.ts';
import type { StoreWatch } from '../fleet/store-watch.ts';

export type Ready = () => Promise<Readiness>;

export interface ReadinessOptions {
  storeWatch: StoreWatch;
  fleet: Fleet;
  clock: Pick<StoreClock, 'fault' | 'skewMs'>;
  /** Why this control plane lacks a key of the fleet; null: it has all. */
  keyFault(): string | null;
  /** How many have to be live for readiness, however few were heard of. */
  expectedEdges: number;
}

export function createReadiness({
  storeWatch,
  fleet,
  clock,
  keyFault,
  expectedEdges,
}: ReadinessOptions): Ready {
  /** Nobody had to show a token: where the store is, the log says. */
  async function checkStore() {
    const { reachable, detail } = await storeWatch.look();
    return {
      name: 'store',
      ok: detail === null,
      detail: reachable ? (detail ?? 'answers') : 'does not answer',
    };
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
    const keys = { name: 'keys', ok: keyFault() === null, detail: keyFault() ?? 'all there' };
    const checks = [await checkStore(), edges, clockCheck, keys];
    return { status: checks.every(({ ok }) => ok) ? 'ready' : 'not_ready', checks };
  };
}
