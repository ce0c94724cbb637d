import type { Turn } from '@lockstep/contract';

const keptEpochs = 100;

/**
 * How the history that a store holds is related to the one a process knows, whose epochs are `known`, the current last. `turned`: it
 * went on from there, and tells so. `went_back`: it is an earlier state of it, or went on from one, without a word of what the
 * process knows. `another`: neither names an epoch of the other.
 */
export type Kinship = 'same' | 'turned' | 'went_back' | 'another';

export function kinshipOf(epoch: string, turns: readonly Turn[], known: readonly string[]): Kinship {
  const current = known.at(-1);
  if (epoch === current) return 'same';
  const told = new Set(turns.flatMap(({ kept, lost }) => [kept.epoch, lost?.epoch ?? kept.epoch]));
  if (current !== undefined && told.has(current)) return 'turned';
  return known.some((one) => one === epoch || told.has(one)) ? 'went_back' : 'another';
}

/** The epochs of a history with `epoch` as the current one. */
export function withEpoch(epochs: readonly string[], epoch: string): string[] {
  return [...epochs.filter((one) => one !== epoch), epoch].slice(-keptEpochs);
}
