import { type Api, answerOf } from './api.ts';
import type { components, operations } from './api-types.ts';
import { type CallOptions, given } from './call-options.ts';
import { eachOf } from './pages.ts';
import { pause } from './pause.ts';

type Schemas = components['schemas'];
export type Route = Schemas['Route'];
/** What a route is made of. */
export type RouteInput = Schemas['PutRoute'];
/** What is merged into a route (RFC 7396): null removes a field. */
export type RoutePatch = Schemas['PatchRoute'];
export type RouteFilter = Omit<
  NonNullable<operations['listRoutes']['parameters']['query']>,
  'cursor' | 'fields' | 'total'
>;

export interface WriteOptions extends CallOptions {
  /** Answer when every live edge serves it, or after so many seconds, 240 at most; the answer's `status.state` says which. */
  wait?: number | undefined;
}

export interface ChangeOptions extends WriteOptions {
  /** The `revision` that it is to be at: it throws 412 `precondition_failed` where somebody else has changed it since. */
  ifRevision?: number | undefined;
}

export interface CreateOptions extends WriteOptions {
  /** Of the caller's own, so that a create that is repeated after a crash makes one route; without it, each call has one of its own. */
  idempotencyKey?: string | undefined;
}

export interface InstructionsOptions extends CallOptions {
  /** For this one of its hosts. */
  host?: string | undefined;
  /** `text` for a mail, `html` for a page of its own. */
  format?: 'text' | 'html' | undefined;
}

const lookIntervalMs = 500;

/** The routes of the fleet. Each call throws `LockstepError` for an error that the API answers. */
export function createRoutes(api: Api) {
  const routes = {
    async create(body: RouteInput, { wait, idempotencyKey, signal }: CreateOptions = {}): Promise<Route> {
      const headers = { ...preferring(wait), ...(idempotencyKey && { 'idempotency-key': idempotencyKey }) };
      return answerOf(api.POST('/v1/routes', { body, headers, ...given(signal) }));
    },
    get: async (id: string, { signal }: CallOptions = {}): Promise<Route> =>
      answerOf(api.GET('/v1/routes/{id}', { params: { path: { id } }, ...given(signal) })),
    /** Creates or replaces. */
    put: async (
      id: string,
      body: RouteInput,
      { wait, ifRevision, signal }: ChangeOptions = {},
    ): Promise<Route> =>
      answerOf(
        api.PUT('/v1/routes/{id}', {
          params: { path: { id } },
          body,
          headers: { ...preferring(wait), ...atRevision(ifRevision) },
          ...given(signal),
        }),
      ),
    patch: async (
      id: string,
      body: RoutePatch,
      { wait, ifRevision, signal }: ChangeOptions = {},
    ): Promise<Route> =>
      answerOf(
        api.PATCH('/v1/routes/{id}', {
          params: { path: { id } },
          body,
          headers: { ...preferring(wait), ...atRevision(ifRevision) },
          ...given(signal),
        }),
      ),
    async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
      await answerOf(api.DELETE('/v1/routes/{id}', { params: { path: { id } }, ...given(signal) }));
    },
    /** Each route that the filter leaves, by id; reads pages as they are come to. */
    list: (filter: RouteFilter = {}, { signal }: CallOptions = {}): AsyncGenerator<Route, void> =>
      eachOf(
        (cursor) =>
          answerOf(
            api.GET('/v1/routes', {
              params: { query: { ...filter, ...(cursor && { cursor }) } },
              ...given(signal),
            }),
            // Without `fields` they are whole.
          ) as Promise<{ items: Route[]; next: string | null }>,
      ),
    /** Looks whether its hosts lead here, and has them tried at once. */
    check: async (id: string, { signal }: CallOptions = {}): Promise<Schemas['RouteCheck']> =>
      answerOf(api.POST('/v1/routes/{id}/check', { params: { path: { id } }, ...given(signal) })),
    /** What the owners of its hosts have to do in the DNS, for them to read. */
    instructions: async (
      id: string,
      { host, format = 'text', signal }: InstructionsOptions = {},
    ): Promise<string> =>
      answerOf(
        api.GET('/v1/routes/{id}/instructions', {
          params: { path: { id }, query: { format, ...(host && { host }) } },
          parseAs: 'text',
          ...given(signal),
        }),
      ),
    traffic: async (id: string, { signal }: CallOptions = {}): Promise<Schemas['RouteTraffic']> =>
      answerOf(api.GET('/v1/routes/{id}/traffic', { params: { path: { id } }, ...given(signal) })),
    /** The route as it changes, until it is live, has failed, or waits for somebody; the first time at once. */
    async *watch(id: string, { signal }: CallOptions = {}): AsyncGenerator<Route, void> {
      for (let last = ''; ; ) {
        const route = await routes.get(id, { signal });
        const { status } = route;
        const now = JSON.stringify(status);
        if (now !== last) yield route;
        last = now;
        if (isSettled(status)) return;
        await pause(lookIntervalMs, signal);
      }
    },
  };
  return routes;
}

/** Whether waiting alone does not change it soon. A host whose proof nobody has looked for yet is looked at in a moment. */
function isSettled({ state, dnsRequirements }: Route['status']): boolean {
  const proofs = dnsRequirements.filter(({ purpose, ok }) => purpose === 'ownership' && !ok);
  if (state === 'waiting_for_ownership' && proofs.some(({ found }) => found === null)) return false;
  return state === 'live' || state === 'failed' || state.startsWith('waiting_for_');
}

function atRevision(revision: number | undefined): Record<string, string> {
  return revision === undefined ? {} : { 'if-match': `"${revision}"` };
}

function preferring(wait: number | undefined): Record<string, string> {
  return wait === undefined ? {} : { prefer: `wait=${Math.min(wait, 240)}` };
}
