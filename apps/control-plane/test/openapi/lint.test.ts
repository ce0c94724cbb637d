import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createConfig, lint } from '@redocly/openapi-core';
import spectral from '@stoplight/spectral-core';
import parsers from '@stoplight/spectral-parsers';
import rulesets from '@stoplight/spectral-rulesets';
import t from 'tap';

const file = fileURLToPath(new URL('../../../../openapi.yaml', import.meta.url));

t.test('openapi.yaml is as Redocly recommends', async (t) => {
  const config = await createConfig({ extends: ['recommended'] });
  const problems = await lint({ ref: file, config });
  t.strictSame(
    problems.map(({ ruleId, message, location }) => [ruleId, message, location[0]?.pointer]),
    [],
  );
});

t.test('openapi.yaml is as Spectral recommends', async (t) => {
  const linter = new spectral.Spectral();
  linter.setRuleset({ extends: [[rulesets.oas as never, 'recommended']] });
  const document = new spectral.Document(await readFile(file, 'utf8'), parsers.Yaml, file);
  const problems = await linter.run(document);
  t.strictSame(
    problems.map(({ code, message, path }) => [code, message, path.join('/')]),
    [],
  );
});
