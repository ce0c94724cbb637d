import { AppError } from '@lockstep/contract';
import { Health, Problem, Readiness } from '@lockstep/contract/schemas';
import type { ConfigStore } from '@lockstep/store';
import { z } from 'zod';
import { findAuthority } from '../issuers/authority.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import type { Ready } from '../monitoring/readiness.ts';
import type { ApiInstance } from './api-instance.ts';
import { needs } from './needs.ts';

export interface SystemApiOptions {
  ready: Ready;
  metrics: Metrics;
  /** The API in OpenAPI, made when somebody asks for it first. */
  describe(): Promise<object>;
}

/** What needs no token: health, readiness, metrics, and the API’s own description. */
export function systemApi(app: ApiInstance, { ready, metrics, describe }: SystemApiOptions): void {
  let document: Promise<object> | null = null;
  app.get('/openapi.json', { schema: { hide: true } }, () => {
    document ??= describe();
    return document;
  });

  app.get('/healthz', {
    schema: {
      operationId: 'getHealth',
      summary: 'Whether the process answers',
      tags: ['system'],
      security: [],
      response: { 200: Health },
    },
    handler: async () => ({ status: 'ok' as const }),
  });

  app.get('/readyz', {
    schema: {
      operationId: 'getReadiness',
      summary: 'Whether the control plane can take routes and the expected edges are live',
      tags: ['system'],
      security: [],
      response: { 200: Readiness, 503: Readiness },
    },
    async handler(_request, reply) {
      const readiness = await ready();
      return reply.code(readiness.status === 'ready' ? 200 : 503).send(readiness);
    },
  });

  app.get('/metrics', {
    schema: {
      operationId: 'getMetrics',
      summary: 'Metrics in the Prometheus text format',
      tags: ['system'],
      security: [],
      response: { 200: { content: { 'text/plain': { schema: z.string() } } } },
    },
    async handler(_request, reply) {
      const { contentType, text } = await metrics.render();
      return reply.type(contentType).serializer(String).send(text);
    },
  });
}

/** The root certificate of the internal CA, for those who have to trust it. Public, but under /v1 and so behind the token. */
export interface AuthorityApiOptions {
  store: ConfigStore;
}

export function authorityApi(app: ApiInstance, { store }: AuthorityApiOptions): void {
  app.get('/ca/root.crt', {
    schema: {
      operationId: 'getRootCertificate',
      security: needs('certificates:read'),
      summary: 'The root certificate of the internal CA',
      tags: ['certificates'],
      response: { 200: { content: { 'application/x-pem-file': { schema: z.string() } } }, '4xx': Problem },
    },
    async handler(_request, reply) {
      const authority = await findAuthority(store);
      if (authority === null) throw new AppError('not_found', 'the internal CA has not been used yet');
      return reply.type('application/x-pem-file').serializer(String).send(authority.certificate);
    },
  });
}
