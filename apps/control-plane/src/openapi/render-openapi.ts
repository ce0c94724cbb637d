import { stringify } from 'yaml';
import { openapiDocument } from './openapi-document.ts';

/** openapi.yaml, as the API describes itself. */
export async function renderOpenapi(): Promise<string> {
  const document = await openapiDocument();
  return `# Rendered from the schemas in packages/contract by \`npm run openapi\`; a test fails when it is stale.\n${stringify(document, { aliasDuplicateObjects: false })}`;
}
