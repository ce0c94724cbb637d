import { readFile } from 'node:fs/promises';
import t from 'tap';
import { renderOpenapi } from '../src/openapi/render-openapi.ts';

t.test('openapi.yaml is what the API says of itself (npm run openapi)', async (t) => {
  const committed = await readFile(new URL('../../../openapi.yaml', import.meta.url), 'utf8');
  t.equal(committed, await renderOpenapi());
});
