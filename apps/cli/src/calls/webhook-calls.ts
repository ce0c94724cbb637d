import type { components, Webhook } from '@lockstep/client';
import { exitCodes } from '../output/exit-codes.ts';
import type { Session } from '../session/open-session.ts';
import { confirmed } from './confirm.ts';

export interface AddWebhookFlags {
  type?: string[];
  route?: string[];
  tenant?: string;
}

type Post = components['schemas']['PostWebhook'];

export async function addWebhook({ client, output }: Session, url: string, flags: AddWebhookFlags) {
  const { type, route, tenant } = flags;
  const made = await client.webhooks.create({
    url,
    ...(type && { types: type as NonNullable<Post['types']> }),
    ...(route && { routes: route }),
    ...(tenant && { tenant }),
  });
  if (output.json) output.show(made);
  else output.line(`${made.id}  ${made.secret}`);
}

export async function listWebhooks({ client, output }: Session): Promise<void> {
  output.list(await Array.fromAsync<Webhook>(client.webhooks.list()), {
    id: ({ id }) => id,
    url: ({ url }) => url,
    events: ({ types }) => types?.join(' ') ?? 'all',
    state: (webhook) => stateOf(output, webhook),
  });
}

export async function showWebhook({ client, output }: Session, id: string): Promise<void> {
  output.show({ ...(await client.webhooks.get(id)), deliveries: await client.webhooks.deliveries(id) });
}

export async function testWebhook({ client, output }: Session, id: string): Promise<void> {
  const delivery = await client.webhooks.test(id);
  if (output.json) output.show(delivery);
  else output.line(delivery.detail);
  if (!delivery.ok) process.exitCode = exitCodes.faultsFound;
}

export async function rotateSecret({ client, output }: Session, id: string): Promise<void> {
  const rotated = await client.webhooks.rotateSecret(id);
  if (output.json) output.show(rotated);
  else output.line(rotated.secret);
}

export async function removeWebhook(session: Session, id: string, flags: { yes?: boolean }): Promise<void> {
  const { url } = await session.client.webhooks.get(id);
  if (!(await confirmed(`Send no more events to ${url}?`, flags))) return;
  await session.client.webhooks.delete(id);
  if (!session.output.json) session.output.line(`removed ${id}`);
}

function stateOf({ paint }: Session['output'], { enabled, disabled, status }: Webhook): string {
  if (disabled !== null) return paint('red', `disabled: ${disabled.reason}`);
  if (!enabled) return paint('yellow', 'off');
  return status.failingSince === null
    ? paint('green', 'on')
    : paint('red', `failing since ${status.failingSince}`);
}
