import { isAppError } from '@lockstep/contract';

/** The store or the lease failed, not the order: nothing can be written down, and whoever takes it up next goes on from where it stands. */
export function isInterruption(error: unknown): boolean {
  return (['store_unavailable', 'store_lost', 'lease_lost'] as const).some((code) => isAppError(error, code));
}
