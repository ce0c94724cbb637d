import { isAppError, type Position } from '@lockstep/contract';
import type { Commit, ConfigStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';

/** As a control plane commits: under one id, until there is an answer. */
export async function surely(store: ConfigStore, commit: Commit): Promise<Position> {
  return waitFor(
    () =>
      store.commit(commit).catch((error) => {
        if (isAppError(error, 'store_unavailable')) return null;
        throw error;
      }),
    { what: 'a commit' },
  );
}
