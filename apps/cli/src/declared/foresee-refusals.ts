import { type Client, LockstepError, type RouteInput } from '@lockstep/client';
import type { Change } from './plan.ts';

export interface Refusal {
  route: string;
  detail: string;
}

const atOnce = 8;

/** What of a plan's routes would be refused, before anything of it is made; what the plan itself clears away is none. */
export async function foreseeRefusals(client: Client, changes: readonly Change[]): Promise<Refusal[]> {
  const ofRoutes = changes.filter(({ kind }) => kind === 'route');
  const moved = new Set(ofRoutes.map(({ name }) => name));
  const prepared = changes.length > ofRoutes.length;
  const asked = ofRoutes.filter(({ after }) => after !== null);
  const refusals: Refusal[] = [];
  for (let from = 0; from < asked.length; from += atOnce) {
    const found = await Promise.all(
      asked.slice(from, from + atOnce).map(async ({ name, after }) => {
        const error = await refusalOf(client, { ...after, id: name } as unknown as RouteInput);
        if (error === null) return [];
        const { code, problem, errors } = error;
        // By another route that this plan changes or deletes.
        if (code === 'host_taken' && moved.has(String(problem?.route))) return [];
        // By issuers and settings that this plan makes first.
        if (prepared && errors.length > 0 && errors.every(restsOnIssuers)) return [];
        return [{ route: name, detail: error.message }];
      }),
    );
    refusals.push(...found.flat());
  }
  return refusals;
}

function restsOnIssuers({ pointer, detail }: { pointer: string; detail: string }): boolean {
  return pointer.startsWith('/issuers') || /issuer|dns-01|DNS provider/.test(detail);
}

async function refusalOf(client: Client, body: RouteInput): Promise<LockstepError | null> {
  const { error, response } = await client.api.POST('/v1/routes/validate', { body });
  if (response.ok) return null;
  const refusal = new LockstepError(response, error);
  if (refusal.status < 500 && refusal.status !== 401 && refusal.status !== 429) return refusal;
  throw refusal;
}
