import swagger from '@fastify/swagger';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { createServer, type ServerOptions } from '../api/server.ts';
import { pruneSchemas } from './prune-schemas.ts';

/** The API in OpenAPI 3.1, rendered from the zod schemas that check requests: those of a server that nobody calls. */
export async function openapiDocument(): Promise<object> {
  // Describing calls none of the parts behind the API.
  const unused = {} as ServerOptions;
  const app = await createServer({ ...unused, adminToken: '', adminHosts: [], log: null }, (app) =>
    app.register(swagger, {
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
    }),
  );
  await app.ready();
  const document = app.swagger();
  await app.close();
  return document;
}
