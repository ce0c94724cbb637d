import { stringify } from 'yaml';
import { createServer, type ServerOptions } from '../api/server.ts';

/** openapi.yaml, as the API describes itself. */
export async function renderOpenapi(): Promise<string> {
  // Describing calls none of the parts behind the API.
  const unused = {} as ServerOptions;
  const app = await createServer({ ...unused, adminToken: '', log: null });
  await app.ready();
  const document = app.swagger();
  await app.close();
  return `# Rendered from the schemas in packages/contract by \`npm run openapi\`; a test fails when it is stale.\n${stringify(document, { aliasDuplicateObjects: false })}`;
}
