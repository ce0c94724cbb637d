import { shownOfCertificates } from '../api/certificates.ts';
import { shownOfIssuers, shownOfZerossl } from '../api/issuers.ts';
import { shownOfRoutes } from '../api/routes.ts';
import { shownOfWebhooks } from '../api/webhooks.ts';
import { nameOfRef, type OpenapiDocument, operationsOf, type Schema } from './document-parts.ts';

/** The bodies of which a field that is null is as if left out. */
const nullsLeftOut = ['PutCertificate', 'PutIssuer', 'PutSettings'];

/**
 * What answers have beside what bodies take, and may be put back: it is passed over. Not as `readOnly`, by which validators refuse what is
 * sent all the same.
 */
const passedOver = 'As it is shown: passed over here';
const shown: Record<string, { of: string; fields: readonly string[] }> = {
  PutCertificate: { of: 'Certificate', fields: shownOfCertificates },
  PutRoute: { of: 'Route', fields: shownOfRoutes },
  PutIssuer: { of: 'Issuer', fields: shownOfIssuers },
  PutSettings: { of: 'Settings', fields: ['revision'] },
  PutWebhook: { of: 'Webhook', fields: shownOfWebhooks },
};

/** Tells of bodies what their schemas do not: which may be missing, what may be left out of them or be null instead, and what a merge patch may be. */
export function describeBodies(document: OpenapiDocument, optionalBodies: ReadonlySet<string>): void {
  const { schemas } = document.components;
  for (const { operation } of operationsOf(document)) {
    if (operation.requestBody !== undefined && optionalBodies.has(operation.operationId))
      operation.requestBody.required = false;
  }
  const settings = schemas.PutSettings;
  if (settings !== undefined && schemas.PatchSettings !== undefined)
    schemas.PatchSettings = {
      ...patchOf(settings, schemas),
      ...only(schemas.PatchSettings, ['description', 'examples']),
    };
  // A body with a directory and no type is an ACME CA's.
  for (const variant of schemas.PutIssuer?.oneOf ?? [])
    if (variant.required?.includes('directory'))
      variant.required = variant.required.filter((field) => field !== 'type');
  for (const name of nullsLeftOut) for (const variant of variantsOf(schemas[name])) allowNulls(variant);
  for (const [name, { of, fields }] of Object.entries(shown)) {
    for (const variant of variantsOf(schemas[name])) {
      const isZerossl = variant.properties?.type?.const === 'zerossl';
      const properties = (isZerossl ? shownOfZerossl : fields).map((field) => [
        field,
        { ...schemas[of]?.properties?.[field], description: passedOver },
      ]);
      variant.properties = { ...variant.properties, ...Object.fromEntries(properties) };
    }
  }
  // Since a type may be left out, what tells them apart is not in each of them.
  if (schemas.PutIssuer?.oneOf !== undefined) {
    const { oneOf, ...rest } = schemas.PutIssuer;
    schemas.PutIssuer = { ...rest, anyOf: oneOf };
  }
}

function variantsOf(schema: Schema | undefined): Schema[] {
  return schema?.oneOf ?? (schema === undefined ? [] : [schema]);
}

function allowNulls(schema: Schema): void {
  for (const [name, field] of Object.entries(schema.properties ?? {}))
    if (!schema.required?.includes(name) && schema.properties !== undefined)
      schema.properties[name] = orNull(field);
}

/** What may be merged into something of a schema (RFC 7396): any part of it, and null for what is to go. */
function patchOf(schema: Schema, schemas: Record<string, Schema>): Schema {
  const found = schema.$ref === undefined ? schema : schemas[nameOfRef(schema.$ref)];
  if (found === undefined) return schema;
  const described = { ...found, ...only(schema, ['description']) };
  const variants = found.oneOf ?? found.anyOf;
  if (variants !== undefined)
    return {
      ...only(described, ['description']),
      anyOf: variants.map((variant) => patchOf(variant, schemas)),
    };
  if (found.properties === undefined) {
    const { default: _left, ...rest } = schema;
    return rest;
  }
  const properties = Object.entries(found.properties).map(([name, field]) => [
    name,
    orNull(patchOf(field, schemas)),
  ]);
  return {
    ...only(described, ['description']),
    type: 'object',
    properties: Object.fromEntries(properties),
    additionalProperties: false,
  };
}

function orNull(schema: Schema): Schema {
  const choices = schema.anyOf ?? [];
  if (choices.some(({ type }) => type === 'null')) return schema;
  const { description, default: standard, examples, ...rest } = schema;
  const outer = {
    ...(description !== undefined && { description }),
    ...(standard !== undefined && { default: standard }),
    ...(examples !== undefined && { examples }),
  };
  const kinds = schema.anyOf !== undefined && Object.keys(rest).length === 1 ? schema.anyOf : [rest];
  return { ...outer, anyOf: [...kinds, { type: 'null' }] };
}

function only(schema: Schema, keys: string[]): Schema {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => keys.includes(key)));
}
