import { isAppError } from '@lockstep/contract';
import type { ApiClient } from '../api/api-client.ts';

/** One call of the API that an import is made of. */
export interface Deed {
  /** As it is told: `route shop`. */
  what: string;
  method: 'PUT' | 'POST' | 'PATCH';
  path: string;
  body: unknown;
}

const atOnce = 8;

/** Does them, some at once, in any order; resolves with how many changed something, and tells of each that was refused. */
export async function doAll(
  api: ApiClient,
  deeds: readonly Deed[],
  print: (line: string) => void,
): Promise<{ done: number; refused: number }> {
  const left = [...deeds];
  const counts = { done: 0, refused: 0 };
  const work = async () => {
    for (let deed = left.shift(); deed !== undefined; deed = left.shift()) {
      try {
        await api.call(deed.method, deed.path, deed.body);
        counts.done += 1;
      } catch (error) {
        if (!isAppError(error) || error.code === 'unauthorized' || error.code === 'store_unavailable')
          throw error;
        counts.refused += 1;
        const fields = error.errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join('; ');
        print(`${deed.what}: ${fields || error.message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return counts;
}
