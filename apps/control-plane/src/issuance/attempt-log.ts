import type { Attempt } from '@lockstep/contract';
import type { Change, ConfigStore } from '@lockstep/store';

const keptAttempts = 20;

/** The change that adds an attempt to those kept of a certificate. Only the holder of its order's lease writes them. */
export async function attemptChange(store: ConfigStore, id: string, attempt: Attempt): Promise<Change> {
  const known = await store.get('attempts', id);
  const attempts = [attempt, ...(known?.value.attempts ?? [])].slice(0, keptAttempts);
  return { op: 'put', kind: 'attempts', id, value: { attempts } };
}
