import { randomBytes, randomInt } from 'node:crypto';
import {
  AppError,
  eventId,
  type NewWebhook,
  type PatchWebhook,
  type PostWebhook,
  parseEventId,
  recordKey,
  type StoredEvent,
  type StoredRecord,
  type Webhook,
  type WebhookDelivery,
  type WebhookRecord,
  type WebhookStateRecord,
} from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import type { ConfigStore, Page, PageRequest } from '@lockstep/store';
import { commit, retryOnConflict, type WriteOrigin } from '../changes/writes.ts';
import type { Denied } from '../outbound/denied.ts';
import { iso } from '../time/iso.ts';
import { invalidField } from '../validation/invalid-field.ts';
import { type Answer, type Deliver, secretsOf, type WebhookSecret } from './deliver.ts';
import { messageOf } from './message.ts';
import { deliveryOf, keptDeliveries } from './sender.ts';

/** After a rotation both secrets sign for so long. */
const overlapMs = 86_400_000;
const mostWebhooks = 100;

/** Webhooks as the API shows and changes them. All of it throws `not_found` for an id that nothing has. */
export interface WebhookService {
  /** From now on it is sent what happens. Throws `invalid_request`, `wrong_state`. */
  make(origin: WriteOrigin, body: PostWebhook, made?: MadeWebhook): Promise<NewWebhook>;
  list(page: PageRequest): Promise<Page<Webhook>>;
  view(id: string): Promise<Webhook>;
  patch(origin: WriteOrigin, id: string, body: PatchWebhook): Promise<Webhook>;
  remove(origin: WriteOrigin, id: string): Promise<void>;
  rotate(origin: WriteOrigin, id: string): Promise<NewWebhook>;
  deliveries(id: string): Promise<WebhookDelivery[]>;
  /** Sends a message of its own, once, and tells what became of it. */
  test(id: string): Promise<WebhookDelivery>;
  /** Sends an event again, once. Throws `events_gone`. */
  redeliver(origin: WriteOrigin, id: string, event: string): Promise<WebhookDelivery>;
}

export interface MadeWebhook {
  id: string;
  secret: string;
}

export function newWebhook(): MadeWebhook {
  const id = `wh_${Array.from({ length: 20 }, () => randomInt(36).toString(36)).join('')}`;
  return { id, secret: newSecret() };
}

export interface WebhookServiceOptions {
  store: ConfigStore;
  sealer: Sealer;
  targets: Pick<Denied, 'check'>;
  plainAllowed(): boolean;
  deliver: Deliver;
  now: () => number;
}

interface Found {
  webhook: StoredRecord<'webhook'>;
  state: StoredRecord<'webhook-state'>;
}

export function createWebhookService({
  store,
  sealer,
  targets,
  plainAllowed,
  deliver,
  now,
}: WebhookServiceOptions): WebhookService {
  async function find(id: string): Promise<Found> {
    const [webhook, state] = await Promise.all([store.get('webhook', id), store.get('webhook-state', id)]);
    if (webhook === null || state === null)
      throw new AppError('not_found', `there is no webhook "${id}"`, { facts: { webhook: id } });
    return { webhook, state };
  }

  function checkUrl(given: string): string {
    const url = new URL(given);
    if (url.protocol !== 'https:' && !plainAllowed())
      throw invalidField('/url', 'is not an https address; `webhookTargets` of the settings may allow any');
    if (url.username !== '' || url.password !== '')
      throw invalidField('/url', 'carries a user or password; messages are signed');
    if (url.hash !== '') throw invalidField('/url', 'has a fragment, which is never sent');
    targets.check(given, '/url');
    return given;
  }

  const seal = (id: string, secrets: WebhookSecret[]) =>
    sealer.seal(JSON.stringify(secrets), recordKey('webhook', id));

  async function write(
    origin: WriteOrigin,
    { webhook: { id, revision } }: Pick<Found, 'webhook'>,
    value: WebhookRecord,
    state?: { before: StoredRecord<'webhook-state'>; value: WebhookStateRecord },
  ): Promise<void> {
    origin.condition?.(revision);
    await commit(store, {
      ...origin,
      checks: [
        { kind: 'webhook', id, revision },
        ...(state === undefined
          ? []
          : [{ kind: 'webhook-state' as const, id, revision: state.before.revision }]),
      ],
      changes: [
        { op: 'put', kind: 'webhook', id, value: { ...value, updatedAt: iso(now()) } },
        ...(state === undefined ? [] : [putState(id, state.value)]),
      ],
    });
  }

  async function sendOnce(
    { webhook: { id, value } }: Found,
    message: Parameters<Deliver>[2],
    event: Pick<StoredEvent, 'id' | 'type'>,
  ): Promise<WebhookDelivery> {
    const answer: Answer = await deliver(id, value, message, new AbortController().signal);
    return deliveryOf(event, answer, 1, now());
  }

  const view = async (id: string) => present(await find(id));

  return {
    view,

    async make(origin, body, { id, secret } = newWebhook()) {
      if ((await store.count('webhook')) >= mostWebhooks)
        throw new AppError('wrong_state', `there are ${mostWebhooks} webhooks already; delete one`);
      const at = iso(now());
      const value: WebhookRecord = {
        url: checkUrl(body.url),
        description: body.description ?? null,
        types: body.types ?? null,
        routes: body.routes ?? null,
        tenant: body.tenant ?? null,
        sealedSecrets: seal(id, [{ secret, until: null }]),
        disabled: null,
        createdAt: at,
        updatedAt: at,
      };
      const { last: after } = await store.readEvents({ limit: 0 });
      const state = { after, attempts: 0, failingSince: null, dueAt: null, gapAt: null, deliveries: [] };
      await commit(store, {
        ...origin,
        checks: [{ kind: 'webhook', id, revision: null }],
        changes: [{ op: 'put', kind: 'webhook', id, value }, putState(id, state)],
      });
      return { ...(await view(id)), secret };
    },

    async list(page) {
      const { items, next } = await store.list('webhook', page);
      const states = await store.getMany(
        'webhook-state',
        items.map(({ id }) => id),
      );
      const shown = items.flatMap((webhook, index) => {
        const state = states[index] ?? null;
        return state === null ? [] : present({ webhook, state });
      });
      return { items: shown, next };
    },

    async patch(origin, id, { enabled, url, ...given }) {
      await retryOnConflict(async () => {
        const found = await find(id);
        const { webhook, state } = found;
        const changed = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
        const value: WebhookRecord = {
          ...webhook.value,
          ...changed,
          ...(url === undefined ? {} : { url: checkUrl(url) }),
        };
        if (enabled === undefined || enabled === (webhook.value.disabled === null))
          return write(origin, found, value);
        const disabled = enabled ? null : { at: iso(now()), reason: 'it was disabled by its owner' };
        await write(
          origin,
          found,
          { ...value, disabled },
          {
            before: state,
            value: { ...state.value, attempts: 0, failingSince: null, dueAt: enabled ? iso(now()) : null },
          },
        );
      });
      return view(id);
    },

    async remove(origin, id) {
      const { webhook } = await find(id);
      origin.condition?.(webhook.revision);
      await commit(store, {
        ...origin,
        checks: [{ kind: 'webhook', id, revision: webhook.revision }],
        changes: [
          { op: 'delete', kind: 'webhook', id },
          { op: 'delete', kind: 'webhook-state', id },
        ],
      });
    },

    async rotate(origin, id) {
      const secret = newSecret();
      const found = await find(id);
      const until = iso(now() + overlapMs);
      // The one that was for good, for a day yet; of those before it, what is left of theirs.
      const older = secretsOf(sealer, id, found.webhook.value.sealedSecrets, now())
        .map((one) => ({ ...one, until: one.until ?? until }))
        .slice(0, 2);
      const sealedSecrets = seal(id, [{ secret, until: null }, ...older]);
      await write(origin, found, { ...found.webhook.value, sealedSecrets });
      return { ...(await view(id)), secret };
    },

    async deliveries(id) {
      return (await find(id)).state.value.deliveries;
    },

    async test(id) {
      const found = await find(id);
      const at = now();
      const event = { id: `test-${randomBytes(8).toString('hex')}`, type: 'webhook.test' };
      const timestamp = iso(at);
      const subject = { kind: 'webhook', id };
      const body = { ...event, occurredAt: timestamp, subject, data: { webhook: id }, timestamp };
      return sendOnce(
        found,
        { id: event.id, at, body: JSON.stringify(body) },
        event as unknown as StoredEvent,
      );
    },

    async redeliver(origin, id, wanted) {
      const event = await readEvent(wanted);
      const delivery = await sendOnce(await find(id), messageOf(event, now()), event);
      await retryOnConflict(async () => {
        const { state } = await find(id);
        const deliveries = [delivery, ...state.value.deliveries].slice(0, keptDeliveries);
        await commit(store, {
          ...origin,
          checks: [{ kind: 'webhook-state', id, revision: state.revision }],
          changes: [putState(id, { ...state.value, deliveries })],
        });
      });
      return delivery;
    },
  };

  async function readEvent(id: string): Promise<StoredEvent> {
    const { number, index } = parseEventId(id) ?? { number: 0, index: 0 };
    const before = index > 0 ? eventId('-', number, index - 1) : eventId('-', Math.max(0, number - 1), 9_999);
    const [event] = (await store.readEvents({ after: before, limit: 1 })).items;
    if (event?.id === id) return event;
    throw new AppError('events_gone', `the event "${id}" is not, or no longer, kept`);
  }
}

function present({ webhook: { id, revision, value }, state }: Found): Webhook {
  const { sealedSecrets: _, ...shown } = value;
  const { after, failingSince, attempts, dueAt, gapAt } = state.value;
  return {
    id,
    ...shown,
    enabled: value.disabled === null,
    status: { after, failingSince, attempts, nextAttemptAt: dueAt, gapAt },
    revision,
  };
}

function putState(id: string, value: WebhookStateRecord) {
  const dueAt = value.dueAt === null ? null : Date.parse(value.dueAt);
  return { op: 'put', kind: 'webhook-state', id, value, dueAt } as const;
}

/** As Standard Webhooks has it: 24 to 64 random bytes. */
function newSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}
