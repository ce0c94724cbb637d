import { readFileSync } from 'node:fs';
import { astToString, COMMENT_HEADER, default as openapiTypes } from 'openapi-typescript';
import t from 'tap';

t.test('the types are those of openapi.yaml; `npm run openapi` renders them', async (t) => {
  const document = new URL('../../../openapi.yaml', import.meta.url);
  const types = astToString(await openapiTypes(document, { defaultNonNullable: false }));
  const kept = readFileSync(new URL('../src/api-types.ts', import.meta.url), 'utf8');
  t.ok(kept === `${COMMENT_HEADER}${types}`, 'src/api-types.ts is stale: run `npm run openapi`');
});
