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

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  description:
    'New for each request, a UUID say: one that is repeated with it makes nothing again, and gets the same answer, for 24 hours',
  schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[!-~]+$' },
};

/** Tells which operations hold the conditions of a request against the revision of their resource, and which take a key. */
export function describeConditions(
  document: OpenapiDocument,
  conditional: ReadonlySet<string>,
  keyed: ReadonlySet<string>,
): void {
  document.components.parameters = { ...parameters, IdempotencyKey: idempotencyKey };
  for (const { operation } of operationsOf(document)) {
    const own = Array.isArray(operation.parameters) ? operation.parameters : [];
    // Said with a dot too, for which OpenAPI has no style.
    for (const parameter of own) if (parameter.schema?.type === 'object') parameter.style = 'deepObject';
    const names = [
      ...(conditional.has(operation.operationId) ? Object.keys(parameters) : []),
      ...(keyed.has(operation.operationId) ? ['IdempotencyKey'] : []),
    ];
    if (names.length > 0)
      operation.parameters = [...own, ...names.map((name) => ({ $ref: `#/components/parameters/${name}` }))];
  }
}
