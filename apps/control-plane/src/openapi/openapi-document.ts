import swagger from '@fastify/swagger';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { createServer, type ServerOptions } from '../api/server.ts';
import { describeBodies } from './describe-bodies.ts';
import { describeConditions } from './describe-conditions.ts';
import { describeLines } from './describe-lines.ts';
import { describeResponses } from './describe-responses.ts';
import { describeScopes } from './describe-scopes.ts';
import { documentInfo } from './document-info.ts';
import type { OpenapiDocument } from './document-parts.ts';
import { pruneSchemas } from './prune-schemas.ts';
import { restoreHints } from './restore-hints.ts';
import { tidySchemas } from './tidy-schemas.ts';
import { unusedParts } from './unused-parts.ts';

/** The API in OpenAPI 3.1, rendered from the zod schemas that check requests: those of a server that nobody calls. */
export async function openapiDocument(): Promise<object> {
  const optionalBodies = new Set<string>();
  const conditional = new Set<string>();
  const keyed = new Set<string>();
  const transform: typeof jsonSchemaTransform = (route) => {
    const { body, operationId } = (route.schema ?? {}) as { body?: unknown; operationId?: string };
    const schema = body as { safeParse(input: unknown): { success: boolean } } | undefined;
    if (schema?.safeParse(undefined).success && operationId !== undefined) optionalBodies.add(operationId);
    const { config, method } = route.route;
    if (method === 'POST' && config?.repeatable !== true && operationId !== undefined) keyed.add(operationId);
    if (config?.conditional === true && operationId !== undefined) conditional.add(operationId);
    return jsonSchemaTransform(route);
  };
  const options = { ...unusedParts, access: {}, adminHosts: [], log: null } as unknown as ServerOptions;
  const app = await createServer(options, (app) =>
    app.register(swagger, {
      openapi: documentInfo,
      transform,
      transformObject: (document) => pruneSchemas(jsonSchemaTransformObject(document)),
    }),
  );
  await app.ready();
  const document = tidySchemas(app.swagger() as unknown as OpenapiDocument);
  await app.close();
  restoreHints(document.components.schemas);
  describeBodies(document, optionalBodies);
  describeConditions(document, conditional, keyed);
  describeResponses(document, conditional, keyed);
  describeScopes(document);
  describeLines(document);
  return document;
}
