import { type Address, formatAddress } from '@lockstep/contract';
import type { AddressPlan } from './plan-addresses.ts';

export interface ScreenFacts {
  apiUrl: string;
  /** Null where Caddy’s admin API is not spoken. */
  caddyApi: Address | null;
  plan: AddressPlan;
  issuer: string;
  /** Null when the chain has ACME CAs only, whose roots clients know or were given. */
  rootFile: string | null;
  /** Null when the token was given in the environment. */
  tokenFile: string | null;
  logFile: string;
}

/** Where everything listens. */
export function describeAddresses({
  apiUrl,
  caddyApi,
  plan,
  issuer,
  rootFile,
  tokenFile,
  logFile,
}: ScreenFacts): string[] {
  return [
    '',
    `  API          ${apiUrl}  (${apiUrl}/openapi.json)`,
    ...(caddyApi === null ? [] : [`  Caddy’s API  http://${formatAddress(caddyApi)}`]),
    ...plan.edges.flatMap(({ node, https, http, admin }) => [
      `  ${node.padEnd(11)}  https://${formatAddress(https)}  http://${formatAddress(http)}  health http://${formatAddress(admin)}/readyz`,
    ]),
    `  issuer       ${issuer}${rootFile === null ? '' : `, root ${rootFile}`}`,
    `  admin token  ${tokenFile ?? '$LOCKSTEP_ADMIN_TOKEN'}`,
    `  log          ${logFile}`,
    '',
  ];
}

/** Two commands to paste. The token is read from its file, so that it stays out of the terminal's history. */
export function describeFirstRoute({ apiUrl, plan, rootFile, tokenFile }: ScreenFacts): string[] {
  const host = 'shop.example.com';
  const body = JSON.stringify({ hosts: [host], upstreams: [{ url: 'http://127.0.0.1:3000' }] });
  const token = tokenFile === null ? '$LOCKSTEP_ADMIN_TOKEN' : `$(cat ${quote(tokenFile)})`;
  const port = plan.edges[0]?.https.port;
  const trust = rootFile === null ? '' : ` --cacert ${quote(rootFile)}`;
  return [
    'Add a route (here to whatever listens on port 3000), and every edge serves it:',
    '',
    `  curl ${apiUrl}/v1/routes -H "Authorization: Bearer ${token}" \\`,
    `    -H 'Content-Type: application/json' -H 'Prefer: wait=60' -d '${body}'`,
    '',
    `  curl${trust} --resolve ${host}:${port}:127.0.0.1 https://${host}:${port}/`,
    '',
    'Ctrl-C stops everything; the next start resumes with what is there.',
  ];
}

function quote(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
