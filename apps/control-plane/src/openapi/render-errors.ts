import { errorCodes } from '@lockstep/contract';

/** The page of docs on errors, with the table of all codes. */
export function renderErrors(): string {
  const codes = Object.entries(errorCodes).toSorted(([, a], [, b]) => a.status - b.status);
  const rows = codes.map(([code, { status, title }]) => `| \`${code}\` | ${status} | ${title} |`);
  return `${introduction}\n\n| code | status | meaning |\n|---|---|---|\n${rows.join('\n')}\n`;
}

const introduction = `<!-- Rendered by \`npm run openapi\`; a test fails when it is stale. -->

# Errors

Every error is a problem document (RFC 9457, \`application/problem+json\`) with a stable \`code\`. \`detail\` is a sentence for people. \`instance\` is
the id of the request, as in the log. With \`invalid_request\` there is always \`errors\`, one entry for each fault: \`pointer\` is a JSON pointer into the body (empty: the whole of it), the
name of a parameter or header, \`path\` for the address, or \`head\` for what is not HTTP at all. What cannot be read as HTTP gets such a document too.

Bodies are JSON in UTF-8, up to 1 MiB, nested up to 32 levels, no field twice in an object, without content coding. Addresses may have 8,192 bytes, fields 16,384 together. Parameters that an address does not know are refused. Where an address takes no body, or none was sent, its \`Content-Type\` does
not matter. A method that an address does not take gets 405 with \`Allow\`; \`OPTIONS\` (with the token) asks for just that.

\`\`\`json
{
  "type": "urn:lockstep:problem:invalid_request",
  "title": "A field, parameter or header is not acceptable; \`errors\` points at each.",
  "status": 400,
  "detail": "/hosts/0: host \\"shop\\" is a single label; a route needs a full name such as shop.example.com",
  "code": "invalid_request",
  "errors": [{ "pointer": "/hosts/0", "detail": "host \\"shop\\" is a single label; a route needs a full name such as shop.example.com" }],
  "instance": "0b4b7f0e-3f5e-4f0e-9d53-6f0f4a6f7c11"
}
\`\`\`

Edges answer in the same form where a request cannot be forwarded (\`no_route\`, \`upstream_unreachable\`, \`upstream_busy\`, \`upstream_timeout\`, \`invalid_request\`).
Codes that end a process at start-up are in the table too. \`Retry-After\` comes with those that pass.`;
