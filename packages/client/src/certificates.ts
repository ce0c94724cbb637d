import { type Api, answerOf } from './api.ts';
import type { components, operations } from './api-types.ts';
import { type CallOptions, given } from './call-options.ts';
import { eachOf } from './pages.ts';

type Schemas = components['schemas'];
export type Certificate = Schemas['Certificate'];
export type CertificateFilter = Omit<
  NonNullable<operations['listCertificates']['parameters']['query']>,
  'cursor'
>;

/** What edges serve for hosts, obtained or brought. Each call throws `LockstepError` for an error that the API answers. */
export function createCertificates(api: Api) {
  return {
    get: async (id: string, { signal }: CallOptions = {}): Promise<Certificate> =>
      answerOf(api.GET('/v1/certificates/{id}', { params: { path: { id } }, ...given(signal) })),
    list: (filter: CertificateFilter = {}, { signal }: CallOptions = {}): AsyncGenerator<Certificate, void> =>
      eachOf((cursor) =>
        answerOf(
          api.GET('/v1/certificates', {
            params: { query: { ...filter, ...(cursor && { cursor }) } },
            ...given(signal),
          }),
        ),
      ),
    /** Brings a certificate of one's own, with its chain and its key. */
    bring: async (body: Schemas['BringCertificate'], { signal }: CallOptions = {}): Promise<Certificate> =>
      answerOf(api.POST('/v1/certificates', { body, ...given(signal) })),
    /** Changes whose a brought one is, and what is kept beside it; null takes away. */
    patch: async (
      id: string,
      body: Schemas['PatchCertificate'],
      { signal }: CallOptions = {},
    ): Promise<Certificate> =>
      answerOf(api.PATCH('/v1/certificates/{id}', { params: { path: { id } }, body, ...given(signal) })),
    async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
      await answerOf(api.DELETE('/v1/certificates/{id}', { params: { path: { id } }, ...given(signal) }));
    },
    renew: async (id: string, { signal }: CallOptions = {}): Promise<Certificate> =>
      answerOf(api.POST('/v1/certificates/{id}/renew', { params: { path: { id } }, ...given(signal) })),
    revoke: async (
      id: string,
      body: Schemas['RevokeCertificate'] = {},
      { signal }: CallOptions = {},
    ): Promise<Certificate> =>
      answerOf(
        api.POST('/v1/certificates/{id}/revoke', { params: { path: { id } }, body, ...given(signal) }),
      ),
    /** What was tried to obtain it, and what came of it. */
    attempts: async (id: string, { signal }: CallOptions = {}): Promise<Schemas['Attempts']['items']> =>
      (
        await answerOf(
          api.GET('/v1/certificates/{id}/attempts', { params: { path: { id } }, ...given(signal) }),
        )
      ).items,
  };
}
