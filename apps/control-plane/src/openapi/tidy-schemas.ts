import type { OpenapiDocument } from './document-parts.ts';

/** Drops what says nothing: bounds that every number of JavaScript has, choices of one, and a twin of a schema for its input. */
export function tidySchemas(document: OpenapiDocument): OpenapiDocument {
  const { schemas } = document.components;
  const twins = new Map(
    Object.keys(schemas).flatMap((name): [string, string][] => {
      const twin = `${name}Input`;
      return JSON.stringify(schemas[twin]) === JSON.stringify(schemas[name]) ? [[twin, name]] : [];
    }),
  );
  const tidy = JSON.parse(JSON.stringify(document), (key, value) => {
    if (key === 'minimum' && value === Number.MIN_SAFE_INTEGER) return undefined;
    if (key === 'maximum' && value === Number.MAX_SAFE_INTEGER) return undefined;
    if (key === '$ref' && typeof value === 'string') {
      const [, name = ''] = /^#\/components\/schemas\/(.+)$/.exec(value) ?? [];
      return twins.has(name) ? `#/components/schemas/${twins.get(name)}` : value;
    }
    if (
      typeof value === 'object' &&
      value !== null &&
      Array.isArray(value.anyOf) &&
      value.anyOf.length === 1
    ) {
      const { anyOf, ...rest } = value;
      return { ...anyOf[0], ...rest };
    }
    return value;
  }) as OpenapiDocument;
  for (const twin of twins.keys()) delete tidy.components.schemas[twin];
  return tidy;
}
