import { type EventDraft, isAppError, type ToldRecord } from '@lockstep/contract';
import type { Check, ConfigStore, Lease } from '@lockstep/store';
import { commit } from '../changes/writes.ts';

/** Something as it was observed just now. */
export interface Observation {
  /** `<topic>/<id>`: what is told of it is compared under this. */
  key: string;
  /** Null: it is gone, and nothing is remembered of it. */
  state: string | null;
  /** Of what it was observed, where the same state of another thing is to be told again. */
  mark?: string;
  /** What is told of it, by what was told before; left out: nothing. */
  events?(before: ToldRecord | null): EventDraft[];
  /** Has to hold still when it is told. */
  check?: Check;
}

const atOnce = 200;

/**
 * Tells what was observed, where it differs from what was told last: the events and what was told of are one commit. Calls `onTold` after each.
 */
export function createTeller(store: ConfigStore, onTold: () => void) {
  async function tellTogether(observations: readonly Observation[], lease: Lease): Promise<void> {
    const told = await store.getMany(
      'told',
      observations.map(({ key }) => key),
    );
    const news = observations.flatMap((observation, index) => {
      const before = told[index] ?? null;
      return differs(observation, before?.value ?? null) ? [{ observation, before }] : [];
    });
    if (news.length === 0) return;
    await commit(store, {
      by: { kind: 'system' },
      lease,
      checks: news.flatMap(({ observation: { key, check }, before }) => [
        { kind: 'told' as const, id: key, revision: before?.revision ?? null },
        ...(check === undefined ? [] : [check]),
      ]),
      changes: news.map(({ observation: { key, state, mark = '' } }) =>
        state === null
          ? { op: 'delete', kind: 'told', id: key }
          : { op: 'put', kind: 'told', id: key, value: { state, mark } },
      ),
      events: news.flatMap(({ observation, before }) => observation.events?.(before?.value ?? null) ?? []),
    });
    onTold();
  }

  /**
   * Gives back what was not told, as it is no longer so: it is to be observed anew. Throws `lease_lost` and `store_unavailable`; what of it
   * was told then is known by its record.
   */
  return async function tell(observations: readonly Observation[], lease: Lease): Promise<Observation[]> {
    const passed: Observation[] = [];
    for (let at = 0; at < observations.length; at += atOnce) {
      const batch = observations.slice(at, at + atOnce);
      if (await made(tellTogether(batch, lease))) continue;
      for (const one of batch) if (!(await made(tellTogether([one], lease)))) passed.push(one);
    }
    return passed;
  };
}

async function made(write: Promise<void>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (isAppError(error, 'revision_conflict') || isAppError(error, 'commit_too_large')) return false;
    throw error;
  }
}

function differs({ state, mark = '' }: Observation, told: ToldRecord | null): boolean {
  return state !== (told?.state ?? null) || (told !== null && state !== null && mark !== told.mark);
}
