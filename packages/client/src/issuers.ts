import { type Api, answerOf } from './api.ts';
import type { components } from './api-types.ts';
import { type CallOptions, given } from './call-options.ts';
import { eachOf } from './pages.ts';

type Schemas = components['schemas'];
export type Issuer = Schemas['Issuer'];

/** CAs, with an account each. Each call throws `LockstepError` for an error that the API answers. */
export function createIssuers(api: Api) {
  return {
    get: async (name: string, { signal }: CallOptions = {}): Promise<Issuer> =>
      answerOf(api.GET('/v1/issuers/{name}', { params: { path: { name } }, ...given(signal) })),
    list: ({ signal }: CallOptions = {}): AsyncGenerator<Issuer, void> =>
      eachOf((cursor) =>
        answerOf(
          api.GET('/v1/issuers', { params: { query: { ...(cursor && { cursor }) } }, ...given(signal) }),
        ),
      ),
    put: async (name: string, body: Schemas['PutIssuer'], { signal }: CallOptions = {}): Promise<Issuer> =>
      answerOf(api.PUT('/v1/issuers/{name}', { params: { path: { name } }, body, ...given(signal) })),
    async delete(name: string, { signal }: CallOptions = {}): Promise<void> {
      await answerOf(api.DELETE('/v1/issuers/{name}', { params: { path: { name } }, ...given(signal) }));
    },
    /** Has what waits for it tried now. */
    retry: async (name: string, { signal }: CallOptions = {}): Promise<Schemas['IssuerRetry']> =>
      answerOf(api.POST('/v1/issuers/{name}/retry', { params: { path: { name } }, ...given(signal) })),
  };
}
