import swagger from '@fastify/swagger';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { ApiInstance } from '../api/server.ts';
import { pruneSchemas } from './prune-schemas.ts';

/** Makes the API describe itself: `/openapi.json`, OpenAPI 3.1, rendered from the zod schemas that check requests. */
export async function describeApi(app: ApiInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Lockstep',
        version: '0.1.0',
        description: 'The control plane for TLS edges: one POST, every edge serves it.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: 'http://127.0.0.1:7400' }],
      security: [{ token: [] }],
      components: {
        securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'The admin token' } },
      },
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => pruneSchemas(jsonSchemaTransformObject(document)),
  });
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
}
