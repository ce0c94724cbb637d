import { type Api, answerOf } from './api.ts';
import type { components, operations } from './api-types.ts';
import { type CallOptions, given } from './call-options.ts';
import { eachOf } from './pages.ts';

type Schemas = components['schemas'];
export type Webhook = Schemas['Webhook'];

/** Where events are sent. Each call throws `LockstepError` for an error that the API answers. */
export function createWebhooks(api: Api) {
  const at = (id: string, signal: AbortSignal | undefined) => ({
    params: { path: { id } },
    ...given(signal),
  });
  return {
    /** The answer has the secret that deliveries are signed with, this once. */
    create: async (
      body: Schemas['PostWebhook'],
      { signal }: CallOptions = {},
    ): Promise<Schemas['NewWebhook']> => answerOf(api.POST('/v1/webhooks', { body, ...given(signal) })),
    get: async (id: string, { signal }: CallOptions = {}): Promise<Webhook> =>
      answerOf(api.GET('/v1/webhooks/{id}', at(id, signal))),
    list: ({ signal }: CallOptions = {}): AsyncGenerator<Webhook, void> =>
      eachOf((cursor) =>
        answerOf(
          api.GET('/v1/webhooks', { params: { query: { ...(cursor && { cursor }) } }, ...given(signal) }),
        ),
      ),
    patch: async (
      id: string,
      body: Schemas['PatchWebhook'],
      { signal }: CallOptions = {},
    ): Promise<Webhook> => answerOf(api.PATCH('/v1/webhooks/{id}', { ...at(id, signal), body })),
    put: async (id: string, body: Schemas['PutWebhook'], { signal }: CallOptions = {}): Promise<Webhook> =>
      answerOf(api.PUT('/v1/webhooks/{id}', { ...at(id, signal), body })),
    async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
      await answerOf(api.DELETE('/v1/webhooks/{id}', at(id, signal)));
    },
    /** Deliveries are signed with the new secret and the old one for a while. */
    rotateSecret: async (id: string, { signal }: CallOptions = {}): Promise<Schemas['NewWebhook']> =>
      answerOf(api.POST('/v1/webhooks/{id}/rotate-secret', at(id, signal))),
    /** Sends a message now, and tells what came of it. */
    test: async (id: string, { signal }: CallOptions = {}): Promise<Schemas['WebhookDelivery']> =>
      answerOf(api.POST('/v1/webhooks/{id}/test', at(id, signal))),
    /** What became of what was sent, the latest first. */
    deliveries: (
      id: string,
      query: Omit<NonNullable<operations['listWebhookDeliveries']['parameters']['query']>, 'cursor'> = {},
      { signal }: CallOptions = {},
    ): AsyncGenerator<Schemas['WebhookDelivery'], void> =>
      eachOf((cursor) =>
        answerOf(
          api.GET('/v1/webhooks/{id}/deliveries', {
            params: { path: { id }, query: { ...query, ...(cursor && { cursor }) } },
            ...given(signal),
          }),
        ),
      ),
    /** Sends an event once more now, and tells what came of it. */
    redeliver: async (
      id: string,
      event: string,
      { signal }: CallOptions = {},
    ): Promise<Schemas['WebhookDelivery']> =>
      (await answerOf(
        api.POST('/v1/webhooks/{id}/redeliver', { ...at(id, signal), body: { event } }),
      )) as Schemas['WebhookDelivery'],
    /** Puts in line again what was given up since; gives how many events that are. */
    redeliverSince: async (id: string, since: string, { signal }: CallOptions = {}): Promise<number> => {
      const again = api.POST('/v1/webhooks/{id}/redeliver', { ...at(id, signal), body: { since } });
      return ((await answerOf(again)) as Schemas['Redelivering']).queued;
    },
  };
}
