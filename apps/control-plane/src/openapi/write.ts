import { writeFile } from 'node:fs/promises';
import { renderErrors } from './render-errors.ts';
import { renderOpenapi } from './render-openapi.ts';

const root = new URL('../../../../', import.meta.url);
await writeFile(new URL('openapi.yaml', root), await renderOpenapi());
await writeFile(new URL('docs/errors.md', root), renderErrors());
