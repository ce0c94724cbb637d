import type { components } from '@lockstep/client';
import { AppError } from '@lockstep/contract';
import type { Session } from '../session/open-session.ts';
import { confirmed } from './confirm.ts';

export interface AddTokenFlags {
  scope: string[];
  tenant?: string;
  hostSuffix?: string[];
  expires?: string;
}

type Schemas = components['schemas'];

export async function addToken(
  { client, output }: Session,
  name: string,
  flags: AddTokenFlags,
): Promise<void> {
  const { scope, tenant, hostSuffix, expires } = flags;
  const made = await client.tokens.create({
    name,
    scopes: scope as Schemas['PostToken']['scopes'],
    ...(tenant !== undefined && { tenant }),
    ...(hostSuffix !== undefined && { hostSuffixes: hostSuffix }),
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

export async function revokeToken(session: Session, id: string, flags: { yes?: boolean }): Promise<void> {
  const { name } = await session.client.tokens.get(id);
  if (!(await confirmed(`Revoke the token ${id} (${name})?`, flags))) return;
  await session.client.tokens.revoke(id);
  if (!session.output.json) session.output.line(`revoked ${id}`);
}

function dateOf(text: string): string {
  const date = new Date(text);
  if (Number.isNaN(date.getTime()))
    throw new AppError('bad_configuration', `--expires: "${text}" is no date`);
  return date.toISOString();
}
