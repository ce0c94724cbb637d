import { isAppError } from '@lockstep/contract';

const maxTries = 8;

/** Runs `attempt` once more, on what another writer wrote meanwhile, each time its commit meets a conflict. */
export async function retryConflicts<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!isAppError(error, 'revision_conflict') || tries === maxTries) throw error;
    }
  }
}
