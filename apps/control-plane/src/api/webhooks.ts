import { AppError } from '@lockstep/contract';
import {
  DeleteQuery,
  NewWebhook,
  PatchWebhook,
  PostWebhook,
  Problem,
  PutWebhook,
  pageOf,
  Redeliver,
  Redelivering,
  Webhook,
  WebhookDeliveriesQuery,
  WebhookDelivery,
  WebhookId,
  WebhooksQuery,
} from '@lockstep/contract/schemas';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { WriteOrigin } from '../changes/writes.ts';
import type { Queued, Redelivery, Told } from '../webhooks/redelivery.ts';
import { newSecret, newWebhook, type WebhookService } from '../webhooks/webhook-service.ts';
import type { ApiInstance } from './api-instance.ts';
import { tag } from './conditions.ts';
import { once } from './idempotent.ts';
import { mergePatchType, withoutShown } from './json-body.ts';
import { missingOk } from './missing-ok.ts';
import { movingOfWebhook } from './moving-parts.ts';
import { needs } from './needs.ts';
import { accessOf, originOf } from './request-origin.ts';

const params = z.object({ id: WebhookId });
const WebhookPage = pageOf(Webhook, 'WebhookPage');
const WebhookDeliveryPage = pageOf(WebhookDelivery, 'WebhookDeliveryPage');
const problems = { '4xx': Problem, '5xx': Problem };
const tags = ['webhooks'];
const config = { conditional: true } as const;
/** What answers have beside what bodies take. */
export const shownOfWebhooks = ['id', 'disabled', 'status', 'createdAt', 'updatedAt', 'revision'];
const putBody = z.preprocess((given) => withoutShown(given, shownOfWebhooks), PutWebhook);

export interface WebhooksApiOptions {
  service: WebhookService;
  redelivery: Redelivery;
}

export function webhooksApi(app: ApiInstance, { service, redelivery }: WebhooksApiOptions): void {
  function answer<W extends Webhook>(request: FastifyRequest, reply: FastifyReply, webhook: W): W {
    tag(request, reply, webhook.revision, movingOfWebhook(webhook));
    return webhook;
  }

  app.post('/webhooks', {
    config,
    schema: {
      operationId: 'createWebhook',
      security: needs('webhooks:write'),
      summary: 'Have events sent to an address; its secret is in this answer alone',
      description:
        'From now on, signed as Standard Webhooks has it; those of a route in order, each until it is taken. Of a tenant’s token it is the tenant’s, and gets what is the tenant’s.',
      tags,
      body: PostWebhook,
      response: { 201: NewWebhook, ...problems },
    },
    async handler(request, reply) {
      const { id, secret } = await once(request, newWebhook(), (made) =>
        service.make(writerOf(request), request.body, made),
      );
      reply.code(201).header('location', `/v1/webhooks/${id}`).header('cache-control', 'no-store');
      return answer(request, reply, { ...(await service.view(id)), secret });
    },
  });

  app.get('/webhooks', {
    schema: {
      operationId: 'listWebhooks',
      security: needs('webhooks:read'),
      summary: 'List webhooks by id, and how far each is',
      tags,
      querystring: WebhooksQuery,
      response: { 200: WebhookPage, ...problems },
    },
    async handler({ query: { tenant, ...page } }) {
      return service.list(page, tenant);
    },
  });

  app.get('/webhooks/:id', {
    config,
    schema: {
      operationId: 'getWebhook',
      security: needs('webhooks:read'),
      summary: 'Get a webhook, and how far it is',
      tags,
      params,
      response: { 200: Webhook, ...problems },
    },
    handler: async (request, reply) => answer(request, reply, await service.view(request.params.id)),
  });

  app.put('/webhooks/:id', {
    config,
    schema: {
      operationId: 'putWebhook',
      security: needs('webhooks:write'),
      summary: 'Replace what a webhook is told to do; its secret stays',
      description:
        'What GET shows can be put back. 404 for one that is not there: as its secret has to be shown, POST makes it.',
      tags,
      params,
      body: putBody,
      response: { 200: Webhook, ...problems },
    },
    async handler(request, reply) {
      const put = await service.put(writerOf(request), request.params.id, request.body);
      return answer(request, reply, put);
    },
  });

  app.patch('/webhooks/:id', {
    config,
    schema: {
      operationId: 'patchWebhook',
      security: needs('webhooks:write'),
      summary: 'Change a webhook, disable it, or enable it again',
      description: 'One that is enabled again goes on where it was, with all that is still kept.',
      tags,
      consumes: ['application/json', mergePatchType],
      params,
      body: PatchWebhook,
      response: { 200: Webhook, ...problems },
    },
    async handler(request, reply) {
      const patched = await service.patch(writerOf(request), request.params.id, request.body);
      return answer(request, reply, patched);
    },
  });

  app.delete('/webhooks/:id', {
    config,
    schema: {
      operationId: 'deleteWebhook',
      security: needs('webhooks:write'),
      summary: 'Delete a webhook',
      tags,
      params,
      querystring: DeleteQuery,
      response: { 204: z.null().describe('The webhook is gone'), ...problems },
    },
    async handler(request, reply) {
      await missingOk(request.query, service.remove(writerOf(request), request.params.id));
      return reply.code(204).send(null);
    },
  });

  app.post('/webhooks/:id/rotate-secret', {
    config,
    schema: {
      operationId: 'rotateWebhookSecret',
      security: needs('webhooks:write'),
      summary: 'Make a new secret; for 24 hours the one before signs too',
      tags,
      params,
      response: { 200: NewWebhook, ...problems },
    },
    async handler(request, reply) {
      const { id } = request.params;
      const { secret } = await once(request, { secret: newSecret() }, (made) =>
        service.rotate(writerOf(request), id, made.secret),
      );
      reply.header('cache-control', 'no-store');
      return answer(request, reply, { ...(await service.view(id)), secret });
    },
  });

  app.post('/webhooks/:id/test', {
    schema: {
      operationId: 'testWebhook',
      security: needs('webhooks:write'),
      summary: 'Send a message of type `webhook.test` now, and tell what became of it',
      tags,
      params,
      response: { 200: WebhookDelivery, ...problems },
    },
    async handler(request) {
      const { delivery } = await once<Told>(request, { delivery: null }, (told) =>
        redelivery.test(writerOf(request), request.params.id, told),
      );
      return delivery!;
    },
  });

  app.get('/webhooks/:id/deliveries', {
    schema: {
      operationId: 'listWebhookDeliveries',
      security: needs('webhooks:read'),
      summary: 'What became of what was sent, the latest first',
      description:
        'The last 200 tries, the last 200 events that were given up, and the last 20 that were asked for.',
      tags,
      params,
      querystring: WebhookDeliveriesQuery,
      response: { 200: WebhookDeliveryPage, ...problems },
    },
    handler: async (request) => redelivery.list(request.params.id, request.query),
  });

  app.post('/webhooks/:id/redeliver', {
    schema: {
      operationId: 'redeliverWebhook',
      security: needs('webhooks:write'),
      summary: 'Send an event once more, or all that were given up since',
      description:
        '`event`: it is sent now, whatever the types and routes of the webhook, and the answer (200) tells what became of it; 410 `events_gone` where it is no longer kept. `since`: those that were given up from then on get in line again, tried for three days, each before what came later of its route (202).',
      tags,
      params,
      body: Redeliver,
      response: { 200: WebhookDelivery, 202: Redelivering, ...problems },
    },
    async handler(request, reply) {
      const { body } = request;
      const { id } = request.params;
      const origin = writerOf(request);
      if ('since' in body) {
        const { queued } = await once<Queued>(request, { queued: 0 }, (told) =>
          redelivery.givenUp(origin, id, body.since, told),
        );
        return reply.code(202).send({ queued });
      }
      const { delivery } = await once<Told>(request, { delivery: null }, (told) =>
        redelivery.one(origin, id, body.event, told),
      );
      return reply.code(200).send(delivery!);
    },
  });
}

/** Throws for tokens that are bounded to some names: what a webhook is sent is bounded by its tenant and its own filters alone. */
function writerOf(request: FastifyRequest): WriteOrigin {
  if (accessOf(request).hostSuffixes !== null)
    throw new AppError('forbidden', 'webhooks are not for tokens that are bounded to some names');
  return originOf(request);
}
