import { AppError, readRouteClaim } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { isOwn } from '../auth/bounds.ts';
import { hostTaken } from '../certificates/own-certificates.ts';
import type { WriteOrigin } from '../changes/writes.ts';
import { findRoute } from './unreadable-route.ts';

export function routeNotFound(id: string): AppError {
  return new AppError('not_found', `there is no route "${id}"`, { facts: { route: id } });
}

export function idTaken(id: string, own: boolean): AppError {
  const detail = own
    ? `a route with id "${id}" exists; PUT /v1/routes/${id} replaces it`
    : `the id "${id}" is taken; choose another, or leave it out`;
  return new AppError('id_taken', detail, { facts: { route: id } });
}

/** The store's `host_taken`, in the words of callers: naming the route that has it where they may know of it. */
export async function explainHostTaken(
  store: ConfigStore,
  { bounds }: WriteOrigin,
  error: AppError,
): Promise<AppError> {
  if (error.facts.claim === undefined) return error;
  const { host, path, matchers } = readRouteClaim(String(error.facts.claim));
  const route = String(error.facts.id);
  if (bounds !== undefined && !isOwn(bounds, (await findRoute(store, route))?.value.tenant))
    return hostTaken(host, { path });
  const same = matchers === undefined ? '' : ', with the same methods and match,';
  return new AppError('host_taken', `host "${host}" with path "${path}"${same} belongs to route "${route}"`, {
    cause: error,
    facts: { host, path, route },
  });
}
