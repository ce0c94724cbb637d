import { type OpenapiDocument, operationsOf } from './document-parts.ts';

const parameters = {
  IfMatch: {
    name: 'If-Match',
    in: 'header',
    description: 'An ETag that was shown, or `*`: else 412 (RFC 9110, section 13.1.1)',
    schema: { type: 'string' },
    example: '"41"',
  },
  IfNoneMatch: {
    name: 'If-None-Match',
    in: 'header',
    description:
      'Of a GET, the ETag that was shown: 304 where it is still that. Of a PUT, `*`: it is made, or else 412 (RFC 9110, section 13.1.2)',
    schema: { type: 'string' },
    example: '*',
  },
};

/** Tells which operations hold the conditions of a request against the revision of their resource. */
export function describeConditions(document: OpenapiDocument, conditional: ReadonlySet<string>): void {
  document.components.parameters = parameters;
  for (const { operation } of operationsOf(document)) {
    if (!conditional.has(operation.operationId)) continue;
    const own = Array.isArray(operation.parameters) ? operation.parameters : [];
    operation.parameters = [
      ...own,
      ...Object.keys(parameters).map((name) => ({ $ref: `#/components/parameters/${name}` })),
    ];
  }
}
