import { ndjsonType } from '../api/route-bulk.ts';
import { type OpenapiDocument, operationsOf, type Schema, schemaRef } from './document-parts.ts';

const id = { type: 'string' };

/** What each line of a body is, by operation. */
const sent: Record<string, Schema> = {
  putRoutes: {
    allOf: [schemaRef('PutRoute'), { type: 'object', required: ['id'], properties: { id } }],
  },
  deleteRoutes: { type: 'object', required: ['id'], properties: { id }, additionalProperties: false },
};

/** Describes bodies of many JSON texts, a line each, as the text that they are: `contentSchema` says what a line is, since no schema of OpenAPI 3.1 can. */
export function describeLines(document: OpenapiDocument): void {
  for (const { operation } of operationsOf(document)) {
    const asked = operation.requestBody;
    const line = sent[operation.operationId];
    if (asked?.content[ndjsonType] !== undefined && line !== undefined) {
      asked.required = true;
      asked.content[ndjsonType] = { schema: linesOf(line) };
    }
    for (const { content } of Object.values(operation.responses)) {
      const lines = content?.[ndjsonType];
      if (lines !== undefined) lines.schema = linesOf(lines.schema);
    }
  }
}

function linesOf(line: Schema): Schema {
  return {
    type: 'string',
    description: 'One JSON text a line',
    contentMediaType: ndjsonType,
    contentSchema: line,
  };
}
