import { AppError } from '@lockstep/contract';
import {
  NewWebhook,
  PageQuery,
  PatchWebhook,
  PostWebhook,
  Problem,
  pageOf,
  Redeliver,
  Webhook,
  WebhookDeliveries,
  WebhookDelivery,
  WebhookId,
} from '@lockstep/contract/schemas';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { newWebhook, type WebhookService } from '../webhooks/webhook-service.ts';
import type { ApiInstance } from './api-instance.ts';
import { once } from './idempotent.ts';
import { mergePatchType } from './json-body.ts';
import { needs } from './needs.ts';
import { accessOf, originOf } from './request-origin.ts';

const params = z.object({ id: WebhookId });
const WebhookPage = pageOf(Webhook, 'WebhookPage');
const problems = { '4xx': Problem, '5xx': Problem };
const tags = ['webhooks'];

export interface WebhooksApiOptions {
  service: WebhookService;
}

export function webhooksApi(app: ApiInstance, { service }: WebhooksApiOptions): void {
  app.post('/webhooks', {
    schema: {
      operationId: 'createWebhook',
      security: needs('webhooks:write'),
      summary: 'Have events sent to an address; its secret is in this answer alone',
      description: 'From now on, signed as Standard Webhooks has it, in order, each until it is taken.',
      tags,
      body: PostWebhook,
      response: { 201: NewWebhook, ...problems },
    },
    async handler(request, reply) {
      requireAll(request);
      const { id, secret } = await once(request, newWebhook(), (made) =>
        service.make(originOf(request), request.body, made),
      );
      const made = { ...(await service.view(id)), secret };
      return reply
        .code(201)
        .header('location', `/v1/webhooks/${made.id}`)
        .header('cache-control', 'no-store')
        .send(made);
    },
  });

  app.get('/webhooks', {
    schema: {
      operationId: 'listWebhooks',
      security: needs('webhooks:read'),
      summary: 'List webhooks by id, and how far each is',
      tags,
      querystring: PageQuery,
      response: { 200: WebhookPage, ...problems },
    },
    handler: async (request) => service.list(request.query),
  });

  app.get('/webhooks/:id', {
    schema: {
      operationId: 'getWebhook',
      security: needs('webhooks:read'),
      summary: 'Get a webhook, and how far it is',
      tags,
      params,
      response: { 200: Webhook, ...problems },
    },
    handler: async (request) => service.view(request.params.id),
  });

  app.patch('/webhooks/:id', {
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
    async handler(request) {
      requireAll(request);
      return service.patch(originOf(request), request.params.id, request.body);
    },
  });

  app.delete('/webhooks/:id', {
    schema: {
      operationId: 'deleteWebhook',
      security: needs('webhooks:write'),
      summary: 'Delete a webhook',
      tags,
      params,
      response: { 204: z.null().describe('The webhook is gone'), ...problems },
    },
    async handler(request, reply) {
      await service.remove(originOf(request), request.params.id);
      return reply.code(204).send(null);
    },
  });

  app.post('/webhooks/:id/rotate-secret', {
    schema: {
      operationId: 'rotateWebhookSecret',
      security: needs('webhooks:write'),
      summary: 'Make a new secret; for 24 hours the one before signs too',
      tags,
      params,
      response: { 200: NewWebhook, ...problems },
    },
    async handler(request, reply) {
      reply.header('cache-control', 'no-store');
      return service.rotate(originOf(request), request.params.id);
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
    handler: async (request) => service.test(request.params.id),
  });

  app.get('/webhooks/:id/deliveries', {
    schema: {
      operationId: 'listWebhookDeliveries',
      security: needs('webhooks:read'),
      summary: 'The last 100 tries, the latest first',
      tags,
      params,
      response: { 200: WebhookDeliveries, ...problems },
    },
    handler: async (request) => ({ items: await service.deliveries(request.params.id) }),
  });

  app.post('/webhooks/:id/redeliver', {
    schema: {
      operationId: 'redeliverWebhook',
      security: needs('webhooks:write'),
      summary: 'Send an event once more now, and tell what became of it',
      description: 'Whatever its filters. 410 `events_gone` where the event is no longer kept.',
      tags,
      params,
      body: Redeliver,
      response: { 200: WebhookDelivery, ...problems },
    },
    handler: async (request) => service.redeliver(originOf(request), request.params.id, request.body.event),
  });
}

/** What a webhook is sent is bounded by its own filters alone. */
function requireAll(request: FastifyRequest): void {
  if (accessOf(request).hostSuffixes === null) return;
  throw new AppError('forbidden', 'webhooks are not for tokens that are bounded to some names');
}
