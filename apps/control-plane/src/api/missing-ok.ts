import { isAppError } from '@lockstep/contract';
import type { DeleteQuery } from '@lockstep/contract/schemas';

/** With `?missing=ok`, what is not there is as good as deleted: whoever repeats a request cannot tell it from a success of the first. */
export async function missingOk({ missing }: DeleteQuery, removal: Promise<void>): Promise<void> {
  try {
    await removal;
  } catch (error) {
    if (missing !== 'ok' || !isAppError(error, 'not_found')) throw error;
  }
}
