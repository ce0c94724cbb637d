/** The parts of a rendered OpenAPI document that are gone through after it was rendered. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  properties?: Record<string, Schema>;
  required?: string[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  default?: unknown;
  [key: string]: unknown;
}

export interface Response {
  $ref?: string;
  description?: string;
  headers?: Record<string, { $ref: string }>;
  content?: Record<string, { schema: Schema; example?: unknown }>;
}

export interface Operation {
  operationId: string;
  summary: string;
  description?: string;
  security?: unknown[];
  requestBody?: { required?: boolean; content: Record<string, { schema: Schema }> };
  responses: Record<string, Response>;
  [key: string]: unknown;
}

export interface OpenapiDocument {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema>; [section: string]: unknown };
  [key: string]: unknown;
}

export function operationsOf({
  paths,
}: OpenapiDocument): { path: string; method: string; operation: Operation }[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
}

export function schemaRef(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

export function nameOfRef(ref: string | undefined): string {
  return ref?.split('/').at(-1) ?? '';
}
