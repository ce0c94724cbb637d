import { writeFile } from 'node:fs/promises';
import { renderOpenapi } from './render-openapi.ts';

await writeFile(new URL('../../../../openapi.yaml', import.meta.url), await renderOpenapi());
