import type { NeededScope } from '@lockstep/contract';
import type { FastifyInstance, FastifyRequest } from 'fastify';

/** What an operation says of the scope that it takes, as its schema's `security`: the API's description shows it, and requests are held to it. */
export function needs(scope: NeededScope): { token: NeededScope[] }[] {
  return [{ token: [scope] }];
}

/** The scope that a request takes by what its operation says; null at an address where nothing is. */
export function neededBy({ routeOptions }: FastifyRequest): NeededScope | null {
  return scopeOf(routeOptions.schema?.security);
}

/** Refuses to have an operation at this instance that does not say which scope it takes. */
export function requireNeeds(app: FastifyInstance): void {
  app.addHook('onRoute', ({ method, url, schema }) => {
    if (scopeOf(schema?.security) === null)
      throw new Error(`${method} ${url} says of no scope that it needs it`);
  });
}

function scopeOf(security: unknown): NeededScope | null {
  const [requirement] = Array.isArray(security) ? security : [];
  return (requirement?.token?.[0] as NeededScope | undefined) ?? null;
}
