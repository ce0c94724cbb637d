import { isAppError, type Position } from '@lockstep/contract';
import type { Commit, ConfigStore } from '@lockstep/store';

const attempts = 3;

/**
 * Commits, and where the store could not say whether it did, repeats the commit under the same id, which makes it at most once. Each
 * attempt waits for the store by itself, so this throws `store_unavailable` after some seconds, as it throws all else at once.
 */
export async function commitSurely(store: ConfigStore, commit: Commit): Promise<Position> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await store.commit(commit);
    } catch (error) {
      if (!isAppError(error, 'store_unavailable') || attempt === attempts) throw error;
    }
  }
}
