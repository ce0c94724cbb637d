import { type Client, LockstepError } from '@lockstep/client';

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
  client: Client,
  deeds: readonly Deed[],
  print: (line: string) => void,
): Promise<{ done: number; refused: number }> {
  const left = [...deeds];
  const counts = { done: 0, refused: 0 };
  const work = async () => {
    for (let deed = left.shift(); deed !== undefined; deed = left.shift()) {
      try {
        await made(client, deed);
        counts.done += 1;
      } catch (error) {
        if (!(error instanceof LockstepError) || error.status === 401 || error.status >= 500) throw error;
        counts.refused += 1;
        const fields = error.errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join('; ');
        print(`${deed.what}: ${fields || error.message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return counts;
}

async function made({ api }: Client, { method, path, body }: Deed): Promise<void> {
  // Of a path that was put together, the types know nothing.
  const request = api.request as (
    method: string,
    path: string,
    options: { body: unknown },
  ) => Promise<Answer>;
  const { error, response } = await request(method.toLowerCase(), path, { body });
  if (!response.ok) throw new LockstepError(response, error);
}

interface Answer {
  error?: unknown;
  response: Response;
}
