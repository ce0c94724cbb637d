import * as contract from '@lockstep/contract/schemas';
import { z } from 'zod';
import type { Schema } from './document-parts.ts';

/**
 * Puts back defaults and examples, which zod leaves out wherever something is transformed on its way in, as hosts and upstreams are: they
 * could be of the output. Those of the contract can be sent as they are, a test says so.
 */
export function restoreHints(schemas: Record<string, Schema>): void {
  for (const schema of Object.values(contract)) {
    if (!(schema instanceof z.ZodType)) continue;
    const described = schemas[schema.meta()?.id ?? ''];
    if (described === undefined) continue;
    hint(described, schema);
    if (!(schema instanceof z.ZodObject)) continue;
    for (const [name, field] of Object.entries<z.ZodType>(schema.shape)) {
      const property = described.properties?.[name];
      if (property !== undefined) hint(property, field);
    }
  }
}

function hint(described: Schema, schema: z.ZodType): void {
  const examples = schema.meta()?.examples;
  if (examples !== undefined) described.examples ??= examples;
  if (schema instanceof z.ZodDefault) described.default ??= schema.def.defaultValue;
}
