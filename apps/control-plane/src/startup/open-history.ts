import { mkdir } from 'node:fs/promises';
import { AppError, isAppError } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { ControlPlaneConfig } from './config.ts';
import { readSeenHistory, rememberHistory } from './seen-history.ts';

/** Opens the store on the history that the data folder knows, or begins both. Throws `bad_configuration`, and as `open` does. */
export async function openHistory(
  { dataDir, newStore, restored }: Pick<ControlPlaneConfig, 'dataDir' | 'newStore' | 'restored'>,
  store: ConfigStore,
): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const seen = newStore ? null : await readSeenHistory(dataDir);
    const epoch = await store.open({
      create: seen === null,
      expectedEpoch: seen?.latest.epoch ?? null,
      earlierEpochs: seen?.earlierEpochs ?? [],
      known: seen?.latest ?? null,
      restored,
    });
    await rememberHistory(dataDir, store.known ?? { epoch, number: 0, commitId: '' }, store.epochs);
  } catch (error) {
    if (isAppError(error)) throw error;
    throw new AppError('bad_configuration', `the data folder "${dataDir}" cannot be written`, {
      cause: error,
    });
  }
}
