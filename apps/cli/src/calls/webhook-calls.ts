import type { components, Webhook } from '@lockstep/client';
import { AppError } from '@lockstep/contract';
import { exitCodes } from '../output/exit-codes.ts';
import type { Session } from '../session/open-session.ts';
import { confirmed } from './confirm.ts';
import { momentOf } from './moment.ts';

export interface AddWebhookFlags {
  type?: string[];
  route?: string[];
  tenant?: string;
}

type Delivery = components['schemas']['WebhookDelivery'];
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
  output.show(await client.webhooks.get(id));
}

export interface DeliveriesFlags {
  outcome?: Delivery['outcome'];
  event?: string;
  limit: number;
}

export async function listDeliveries(
  { client, output }: Session,
  id: string,
  { outcome, event, limit }: DeliveriesFlags,
): Promise<void> {
  const query = { ...(outcome && { outcome }), ...(event && { event }) };
  const found = await Array.fromAsync(take(client.webhooks.deliveries(id, query), limit));
  output.list(found, {
    at: ({ at }) => at,
    event: ({ event }) => event,
    type: ({ type }) => type,
    of: ({ subject }) => `${subject.kind}/${subject.id}`,
    outcome: ({ ok, outcome }) => output.paint(ok ? 'green' : 'red', outcome),
    detail: ({ detail }) => detail,
  });
}

export async function setWebhook(session: Session, id: string, flags: SetWebhookFlags): Promise<void> {
  const { on, off, url, type } = flags;
  const { client, output } = session;
  const changed = await client.webhooks.patch(id, {
    ...(url && { url }),
    ...(type && { types: type as NonNullable<Post['types']> }),
    ...((on || off) && { enabled: on === true }),
  });
  if (output.json) output.show(changed);
  else output.line(`${id}  ${stateOf(output, changed)}`);
}

export interface SetWebhookFlags {
  on?: boolean;
  off?: boolean;
  url?: string;
  type?: string[];
}

export async function redeliver(
  { client, output }: Session,
  id: string,
  { event, since }: { event?: string; since?: string },
): Promise<void> {
  if (since !== undefined) {
    const from = momentOf(since, '--since', Date.now());
    if (from === null)
      throw new AppError('bad_configuration', `--since: "${since}" is no date, and no time ago such as 1h`);
    const queued = await client.webhooks.redeliverSince(id, new Date(from).toISOString());
    if (output.json) output.show({ queued });
    else output.line(`${queued} in line again`);
    return;
  }
  if (event === undefined) throw new AppError('bad_configuration', 'name --event, or --since');
  showDelivery(output, await client.webhooks.redeliver(id, event));
}

export async function testWebhook({ client, output }: Session, id: string): Promise<void> {
  showDelivery(output, await client.webhooks.test(id));
}

function showDelivery(output: Session['output'], delivery: Delivery): void {
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

async function* take<T>(all: AsyncIterable<T>, most: number): AsyncGenerator<T, void> {
  let taken = 0;
  for await (const one of all) {
    if (taken >= most) return;
    taken += 1;
    yield one;
  }
}

function stateOf({ paint }: Session['output'], { enabled, disabled, status }: Webhook): string {
  if (disabled !== null) return paint('red', `disabled: ${disabled.reason}`);
  if (!enabled) return paint('yellow', 'off');
  if (status.failingSince !== null) return paint('red', `failing since ${status.failingSince}`);
  if (status.waitingSubjects > 0) return paint('yellow', `on, ${status.waitingSubjects} waiting`);
  return paint('green', 'on');
}
