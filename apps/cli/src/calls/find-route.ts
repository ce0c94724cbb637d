import { LockstepError, type Route } from '@lockstep/client';
import { AppError } from '@lockstep/contract';
import type { Session } from '../session/open-session.ts';

/** The route of an id or of a host. Throws `not_found` for none, `wrong_state` for several. */
export async function findRoute({ client }: Session, text: string): Promise<Route> {
  const byId = await client.routes.get(text).catch((error: unknown) => {
    if (error instanceof LockstepError && [400, 404].includes(error.status)) return null;
    throw error;
  });
  if (byId !== null) return byId;
  const found: Route[] = [];
  if (/[.:]/.test(text))
    for await (const route of client.routes.list({ host: text })) {
      found.push(route);
      if (found.length > 20) break;
    }
  const [first, ...others] = found;
  if (first === undefined) throw new AppError('not_found', `there is no route "${text}", by id or by host`);
  if (others.length === 0) return first;
  const ids = found.map(({ id, paths }) => `${id} (${paths.join(', ')})`).join(', ');
  throw new AppError('wrong_state', `${text} belongs to several routes; name one by its id: ${ids}`);
}
