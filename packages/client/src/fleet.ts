import { type Api, answerOf } from './api.ts';
import type { components } from './api-types.ts';
import { type CallOptions, given } from './call-options.ts';
import { eachOf } from './pages.ts';

type Schemas = components['schemas'];
export type Node = Schemas['Node'];
export type FleetStatus = Schemas['FleetStatus'];
export type Settings = Schemas['Settings'];

/** What holds for the whole fleet. Each call throws `LockstepError` for an error that the API answers. */
export function createSettings(api: Api) {
  return {
    get: async ({ signal }: CallOptions = {}): Promise<Settings> =>
      answerOf(api.GET('/v1/settings', { ...given(signal) })),
    put: async (body: Schemas['PutSettings'], { signal }: CallOptions = {}): Promise<Settings> =>
      answerOf(api.PUT('/v1/settings', { body, ...given(signal) })),
    /** What is given is merged into them (RFC 7396): null goes back to the default. */
    patch: async (body: Schemas['PatchSettings'], { signal }: CallOptions = {}): Promise<Settings> =>
      answerOf(api.PATCH('/v1/settings', { body, ...given(signal) })),
  };
}

/** The edges. Each call throws `LockstepError` for an error that the API answers. */
export function createNodes(api: Api) {
  return {
    get: async (id: string, { signal }: CallOptions = {}): Promise<Node> =>
      answerOf(api.GET('/v1/nodes/{id}', { params: { path: { id } }, ...given(signal) })),
    list: ({ signal }: CallOptions = {}): AsyncGenerator<Node, void> =>
      eachOf((cursor) =>
        answerOf(
          api.GET('/v1/nodes', { params: { query: { ...(cursor && { cursor }) } }, ...given(signal) }),
        ),
      ),
    /** Expects it no more. */
    async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
      await answerOf(api.DELETE('/v1/nodes/{id}', { params: { path: { id } }, ...given(signal) }));
    },
    /** Takes it out of traffic; nothing under way is broken off. */
    drain: async (id: string, { signal }: CallOptions = {}): Promise<Node> =>
      answerOf(api.POST('/v1/nodes/{id}/drain', { params: { path: { id } }, ...given(signal) })),
    undrain: async (id: string, { signal }: CallOptions = {}): Promise<Node> =>
      answerOf(api.POST('/v1/nodes/{id}/undrain', { params: { path: { id } }, ...given(signal) })),
    confirmSnapshot: async (id: string, { signal }: CallOptions = {}): Promise<Node> =>
      answerOf(api.POST('/v1/nodes/{id}/confirm-snapshot', { params: { path: { id } }, ...given(signal) })),
  };
}
