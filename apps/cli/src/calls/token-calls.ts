import type { components } from '@lockstep/client';
import { AppError } from '@lockstep/contract';
import type { Session } from '../session/open-session.ts';
import { confirmed } from './confirm.ts';

export interface AddTokenFlags {
  scope: string[];
  tenant?: string;
  hostSuffix?: string[];
  ownership?: 'off' | 'txt' | 'http';
  expires?: string;
}

type Schemas = components['schemas'];

export async function addToken(
  { client, output }: Session,
  name: string,
  flags: AddTokenFlags,
): Promise<void> {
  const { scope, tenant, hostSuffix, ownership, expires } = flags;
  const made = await client.tokens.create({
    name,
    scopes: scope as Schemas['PostToken']['scopes'],
    ...(tenant !== undefined && { tenant }),
    ...(hostSuffix !== undefined && { hostSuffixes: hostSuffix }),
    ...(ownership !== undefined && { ownership }),
    ...(expires !== undefined && { expiresAt: dateOf(expires) }),
  });
  if (output.json) output.show(made);
  else output.line(made.token);
}

export async function listTokens({ client, output }: Session): Promise<void> {
  const tokens: Schemas['Token'][] = [];
  for await (const token of client.tokens.list()) tokens.push(token);
  output.list(tokens, {
    id: ({ id }) => id,
    name: ({ name }) => name,
    scopes: ({ scopes }) => scopes.join(' '),
    tenant: ({ tenant }) => tenant ?? '',
    expires: ({ expiresAt }) => expiresAt ?? '',
    used: ({ lastUsedAt }) => lastUsedAt ?? '',
  });
}

export async function revokeToken(session: Session, text: string, flags: { yes?: boolean }): Promise<void> {
  const { id, name } = await findToken(session, text);
  if (!(await confirmed(`Revoke the token ${id} (${name})?`, flags))) return;
  await session.client.tokens.revoke(id);
  if (!session.output.json) session.output.line(`revoked ${id}`);
}

/** The token of an id, or of a name that one alone has. Throws `not_found` for none, `wrong_state` for several. */
async function findToken({ client }: Session, text: string): Promise<Schemas['Token']> {
  const named: Schemas['Token'][] = [];
  for await (const token of client.tokens.list()) {
    if (token.id === text) return token;
    if (token.name === text) named.push(token);
  }
  const [first, ...others] = named;
  if (first === undefined) throw new AppError('not_found', `there is no token "${text}", by id or by name`);
  if (others.length === 0) return first;
  const ids = named.map(({ id }) => id).join(', ');
  throw new AppError('wrong_state', `"${text}" is the name of several tokens; name one by its id: ${ids}`);
}

function dateOf(text: string): string {
  const date = new Date(text);
  if (Number.isNaN(date.getTime()))
    throw new AppError('bad_configuration', `--expires: "${text}" is no date`);
  return date.toISOString();
}
