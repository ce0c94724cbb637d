import { type Api, answerOf } from './api.ts';
import type { components } from './api-types.ts';
import { type CallOptions, given } from './call-options.ts';
import { eachOf } from './pages.ts';

type Schemas = components['schemas'];
export type Token = Schemas['Token'];

/** Who may call the API. Each call throws `LockstepError` for an error that the API answers. */
export function createTokens(api: Api) {
  return {
    /** The answer has the token itself, this once. */
    create: async (body: Schemas['PostToken'], { signal }: CallOptions = {}): Promise<Schemas['NewToken']> =>
      answerOf(api.POST('/v1/tokens', { body, ...given(signal) })),
    get: async (id: string, { signal }: CallOptions = {}): Promise<Token> =>
      answerOf(api.GET('/v1/tokens/{id}', { params: { path: { id } }, ...given(signal) })),
    list: ({ signal }: CallOptions = {}): AsyncGenerator<Token, void> =>
      eachOf((cursor) =>
        answerOf(
          api.GET('/v1/tokens', { params: { query: { ...(cursor && { cursor }) } }, ...given(signal) }),
        ),
      ),
    async revoke(id: string, { signal }: CallOptions = {}): Promise<void> {
      await answerOf(api.DELETE('/v1/tokens/{id}', { params: { path: { id } }, ...given(signal) }));
    },
  };
}
