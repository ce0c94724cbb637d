import { type components, LockstepError } from '@lockstep/client';
import { AppError } from '@lockstep/contract';
import { readDocuments } from '../declared/read-documents.ts';
import type { Session } from '../session/open-session.ts';
import { confirmed } from './confirm.ts';

type Schemas = components['schemas'];

export async function listIssuers({ client, output }: Session): Promise<void> {
  const issuers: Schemas['Issuer'][] = [];
  for await (const issuer of client.issuers.list()) issuers.push(issuer);
  output.list(issuers, {
    name: ({ name }) => name,
    type: ({ type }) => type,
    directory: ({ directory }) => directory ?? '',
    source: ({ source }) => source,
  });
}

export async function showIssuer({ client, output }: Session, name: string): Promise<void> {
  output.show(await client.issuers.get(name));
}

export async function setIssuer({ client, output }: Session, name: string, file: string): Promise<void> {
  const [document, other] = readDocuments(file);
  if (document === undefined || other !== undefined)
    throw new AppError('bad_configuration', `${file} is not one issuer`);
  const issuer = await client.issuers.put(name, document.value as Schemas['PutIssuer']);
  if (output.json) output.show(issuer);
  else output.line(`${issuer.name} is set up`);
}

export async function removeIssuer(session: Session, name: string, flags: { yes?: boolean }): Promise<void> {
  if (!(await confirmed(`Remove the issuer ${name}?`, flags))) return;
  await session.client.issuers.delete(name);
  if (!session.output.json) session.output.line(`removed ${name}`);
}

export async function showLimits({ client, output }: Session, name: string): Promise<void> {
  const call = await client.api.GET('/v1/issuers/{name}/limits', { params: { path: { name } } });
  if (call.data === undefined) throw new LockstepError(call.response, call.error);
  output.show(call.data);
}

export async function retryIssuer({ client, output }: Session, name: string): Promise<void> {
  output.show(await client.issuers.retry(name));
}
