import { readFile } from 'node:fs/promises';
import { errorCodes } from '@lockstep/contract';
import t from 'tap';
import { type OpenapiDocument, operationsOf } from '../src/openapi/document.ts';
import { openapiDocument } from '../src/openapi/openapi-document.ts';
import { renderOpenapi } from '../src/openapi/render-openapi.ts';

const document = (await openapiDocument()) as OpenapiDocument;
const { schemas } = document.components;
const operations = operationsOf(document);
const operation = (id: string) => operations.find(({ operation }) => operation.operationId === id)?.operation;

t.test('openapi.yaml is what the API says of itself (npm run openapi)', async (t) => {
  const committed = await readFile(new URL('../../../openapi.yaml', import.meta.url), 'utf8');
  t.equal(committed, await renderOpenapi());
});

t.test('every error is described as the problem document that it is', async (t) => {
  const shared = document.components.responses as Record<string, { content: Record<string, unknown> }>;
  for (const { operation } of operations) {
    const errors = Object.entries(operation.responses).filter(([status]) => !/^2/.test(status));
    t.ok(
      errors.some(([status]) => status === 'default'),
      operation.operationId,
    );
    for (const [status, { $ref }] of errors) {
      if (operation.operationId === 'getReadiness' && status === '503') continue;
      t.same(
        Object.keys(shared[$ref?.split('/').at(-1) ?? '']?.content ?? {}),
        ['application/problem+json'],
        status,
      );
    }
  }
  t.same(schemas.Problem?.properties?.code?.enum, Object.keys(errorCodes));
});

t.test('every answer is described, with the fields it carries', async (t) => {
  for (const { operation } of operations) {
    for (const [status, { description, headers }] of Object.entries(operation.responses)) {
      if (!/^2/.test(status)) continue;
      t.notMatch(description, /^Default Response$/, operation.operationId);
      t.ok(headers?.['X-Request-Id'], operation.operationId);
      if (status === '201') t.ok(headers?.Location, operation.operationId);
    }
  }
});

t.test('bodies are described as they are taken', async (t) => {
  t.equal(operation('revokeCertificate')?.requestBody?.required, false);
  t.equal(operation('createRoute')?.requestBody?.required, true);
  const acme = schemas.PutIssuer?.oneOf?.find(({ properties }) => properties?.directory !== undefined);
  t.same(acme?.required, ['directory']);
  t.match(schemas.PutSettings?.properties?.edgeAddresses, { anyOf: [{ type: 'array' }, { type: 'null' }] });
  t.match(schemas.PatchSettings?.properties, { edgeAddresses: {}, onDemand: {}, edge: {}, dnsProvider: {} });
  t.equal(schemas.PatchSettings?.required, undefined);
  t.equal(schemas.StoredDnsProvider?.oneOf?.length, 4);
  t.notMatch(JSON.stringify(schemas.StoredDnsProvider), /password|token|"secret"/);
  t.match(schemas.Route?.properties?.createdAt, { format: 'date-time' });
});
