import { readFile } from 'node:fs/promises';
import { errorCodes } from '@lockstep/contract';
import { PatchRoute, PostToken, PutIssuer, PutRoute, PutSettings } from '@lockstep/contract/schemas';
import t from 'tap';
import { nullsLeftOut } from '../../src/api/json-body.ts';
import {
  nameOfRef,
  type OpenapiDocument,
  operationsOf,
  type Schema,
} from '../../src/openapi/document-parts.ts';
import { openapiDocument } from '../../src/openapi/openapi-document.ts';
import { renderErrors } from '../../src/openapi/render-errors.ts';
import { renderOpenapi } from '../../src/openapi/render-openapi.ts';

const document = (await openapiDocument()) as OpenapiDocument;
const { schemas } = document.components;
const operations = operationsOf(document);
const operation = (id: string) => operations.find(({ operation }) => operation.operationId === id)?.operation;

t.test('openapi.yaml and docs/errors.md are what the API says of itself (npm run openapi)', async (t) => {
  const committed = await readFile(new URL('../../../../openapi.yaml', import.meta.url), 'utf8');
  t.equal(committed, await renderOpenapi());
  const page = await readFile(new URL('../../../../docs/errors.md', import.meta.url), 'utf8');
  t.equal(page, renderErrors());
});

t.test('every error is described as the problem document that it is', async (t) => {
  const shared = document.components.responses as Record<string, { content: Record<string, unknown> }>;
  for (const { operation } of operations) {
    const errors = Object.entries(operation.responses).filter(([status]) => !/^[23]/.test(status));
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
  const acme = schemas.PutIssuer?.anyOf?.find(({ properties }) => properties?.directory !== undefined);
  t.same(acme?.required, ['directory']);
  t.match(schemas.PutSettings?.properties?.edgeAddresses, { anyOf: [{ type: 'array' }, { type: 'null' }] });
  t.match(schemas.PatchSettings?.properties, { edgeAddresses: {}, onDemand: {}, edge: {}, dnsProvider: {} });
  t.equal(schemas.PatchSettings?.required, undefined);
  t.equal(schemas.StoredDnsProvider?.oneOf?.length, 4);
  t.notMatch(JSON.stringify(schemas.StoredDnsProvider), /password|token|"secret"/);
  t.match(schemas.Route?.properties?.createdAt, { format: 'date-time' });
  for (const [name, field] of Object.entries({
    PutRoute: 'status',
    PutSettings: 'revision',
    PutIssuer: 'source',
  }))
    for (const variant of schemas[name]?.anyOf ?? [schemas[name]])
      t.ok(isPassedOver(variant?.properties?.[field]), `what GET shows can be put back: ${name}`);
});

function isPassedOver(field: Schema | undefined): boolean {
  return /passed over here/.test(String(field?.description));
}

/** Values at and just beyond what a schema says, with the way to each. */
function* boundaries(
  schema: Schema,
  path: string[] = [],
): Generator<{ path: string[]; value: unknown; ok: boolean }> {
  if (schema.$ref !== undefined) {
    yield* boundaries(schemas[nameOfRef(schema.$ref)] ?? {}, path);
    return;
  }
  for (const value of [schema.examples ?? []].flat()) yield { path, value, ok: true };
  if (schema.default !== undefined) yield { path, value: schema.default, ok: true };
  for (const value of [schema.enum ?? []].flat()) yield { path, value, ok: true };
  if (schema.enum !== undefined) yield { path, value: 'nobody', ok: false };
  if (schema.type === 'integer') {
    const { minimum, maximum } = schema as { minimum: number; maximum: number };
    for (const value of [minimum, maximum]) yield { path, value, ok: true };
    for (const value of [minimum - 1, maximum + 1, minimum + 0.5]) yield { path, value, ok: false };
  }
  if (schema.type === 'null') yield { path, value: null, ok: true };
  for (const variant of schema.anyOf ?? []) yield* boundaries(variant, path);
  for (const [name, field] of Object.entries(schema.properties ?? {}))
    if (!isPassedOver(field)) yield* boundaries(field, [...path, name]);
}

/** What has to stand beside a field. */
const besides: Record<string, object> = {
  onDemand: { ask: 'http://127.0.0.1:3000/ask' },
};

t.test('settings are taken within the bounds that are described, and not beyond', async (t) => {
  const inside = (path: string[], value: unknown): unknown => {
    const [name, ...rest] = path;
    if (name === undefined) return value;
    const beside = rest.length > 0 ? besides[name] : {};
    const inner = inside(rest, value);
    return { [name]: rest.length > 0 ? { ...beside, ...(inner as object) } : inner };
  };
  const tried = new Set<string>();
  for (const { path, value, ok } of boundaries(schemas.PutSettings ?? {})) {
    // Those of a route want one another beside them, and are tried as a route's.
    if (path[0] === 'dnsProvider' || path[1] === 'defaults') continue;
    const input = path.length === 0 ? value : inside(path, value);
    const name = `${path.join('.')} ${JSON.stringify(value)}`;
    t.equal(PutSettings.safeParse(nullsLeftOut(input)).success, ok, name);
    tried.add(path.join('.'));
  }
  t.match(schemas.PutSettings?.properties?.forgetNodesAfter, {
    default: 86_400,
    anyOf: [{ type: 'integer', minimum: 10, maximum: 31_536_000 }, { type: 'string' }, { type: 'null' }],
  });
  for (const name of Object.keys(PutSettings.shape)) if (name !== 'dnsProvider') t.ok(tried.has(name), name);
});

t.test('every body that is an example is taken', async (t) => {
  for (const [name, schema] of Object.entries({ PutRoute, PatchRoute, PutSettings, PutIssuer, PostToken })) {
    const examples = [schemas[name]?.examples ?? []].flat() as object[];
    t.ok(examples.length > 0, name);
    for (const example of examples) {
      const body = 'directory' in example ? { type: 'acme', ...example } : example;
      t.ok(schema.safeParse(body).success, JSON.stringify(body));
    }
  }
  t.same(schemas.PutRoute?.properties?.paths?.default, ['/']);
});
