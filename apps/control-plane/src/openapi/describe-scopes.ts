import { type OpenapiDocument, operationsOf } from './document-parts.ts';

/**
 * Says of each operation which scope it takes, as `x-scope` and in words. Not under `security`: OpenAPI 3.1 allows roles there, but what reads
 * such documents expects none of a bearer token.
 */
export function describeScopes(document: OpenapiDocument): void {
  for (const { operation } of operationsOf(document)) {
    const [requirement] = (operation.security ?? []) as { token?: string[] }[];
    const scope = requirement?.token?.[0];
    if (scope === undefined) continue;
    operation['x-scope'] = scope;
    operation.description = `${operation.description ?? `${operation.summary}.`} Takes the scope \`${scope}\`.`;
    delete operation.security;
  }
}
