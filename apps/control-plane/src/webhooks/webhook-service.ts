import { randomBytes, randomInt } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  AppError,
  type NewWebhook,
  type PatchWebhook,
  type PostWebhook,
  type PutWebhook,
  recordKey,
  type StoredRecord,
  type Webhook,
  type WebhookRecord,
  type WebhookStateRecord,
} from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import type { ConfigStore, Page, PageRequest } from '@lockstep/store';
import { isOwn, ownTenant } from '../auth/bounds.ts';
import { pageByClaims } from '../changes/by-claims.ts';
import { commit, retryOnConflict, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import type { Denied } from '../outbound/denied.ts';
import { iso } from '../time/iso.ts';
import { invalidField } from '../validation/invalid-field.ts';
import { secretsOf, type WebhookSecret } from './deliver.ts';
import { deleteDeliveries, readDeliveries } from './deliveries.ts';
import { asNew } from './waiting-subjects.ts';
import {
  claimPrefix,
  type FoundWebhook,
  findWebhook,
  presentWebhook,
  putState,
  putWebhook,
  webhookNotFound,
} from './webhook-record.ts';

/** After a rotation both secrets sign for so long. */
const overlapMs = 86_400_000;
/** Of those that are nobody's, and of each tenant's. */
const mostWebhooks = 100;
const mostOfTenant = 10;
const mostOfAll = 2_000;

/** Webhooks as the API shows and changes them. All of it throws `not_found` for an id that nothing has. */
export interface WebhookService {
  /** From now on it is sent what happens. Throws `invalid_request`, `forbidden`, `wrong_state`. */
  make(origin: WriteOrigin, body: PostWebhook, made?: MadeWebhook): Promise<NewWebhook>;
  /** With `tenant`: those of this tenant. */
  list(page: PageRequest, tenant?: string): Promise<Page<Webhook>>;
  view(id: string): Promise<Webhook>;
  /** What changes nothing writes nothing. */
  put(origin: WriteOrigin, id: string, body: PutWebhook): Promise<Webhook>;
  patch(origin: WriteOrigin, id: string, body: PatchWebhook): Promise<Webhook>;
  remove(origin: WriteOrigin, id: string): Promise<void>;
  rotate(origin: WriteOrigin, id: string, secret?: string): Promise<NewWebhook>;
}

export interface MadeWebhook {
  id: string;
  secret: string;
}

export function newWebhook(): MadeWebhook {
  const id = `wh_${Array.from({ length: 20 }, () => randomInt(36).toString(36)).join('')}`;
  return { id, secret: newSecret() };
}

/** As Standard Webhooks has it: 24 to 64 random bytes. */
export function newSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

export interface WebhookServiceOptions {
  store: ConfigStore;
  sealer: Sealer;
  targets: Pick<Denied, 'check'>;
  plainAllowed(): boolean;
  now: () => number;
}

type Given = Omit<PatchWebhook, 'enabled'>;

export function createWebhookService({
  store,
  sealer,
  targets,
  plainAllowed,
  now,
}: WebhookServiceOptions): WebhookService {
  async function findOwn({ bounds }: WriteOrigin, id: string): Promise<FoundWebhook> {
    const found = await findWebhook(store, id);
    if (!isOwn(bounds, found.webhook.value.tenant ?? undefined)) throw webhookNotFound(id);
    return found;
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

  async function requireRoom(tenant: string | null): Promise<void> {
    const most = tenant === null ? mostWebhooks : mostOfTenant;
    const found = await store.findClaims(claimPrefix(tenant ?? ''), most);
    if (found.length >= most)
      throw new AppError('wrong_state', `there are ${most} webhooks already; delete one`);
    if ((await store.count('webhook')) >= mostOfAll)
      throw new AppError('wrong_state', 'there are as many webhooks as there may be in all');
  }

  async function write(
    origin: WriteOrigin,
    { webhook }: Pick<FoundWebhook, 'webhook'>,
    value: WebhookRecord,
    state?: { before: StoredRecord<'webhook-state'>; value: WebhookStateRecord },
  ): Promise<void> {
    const { id, revision } = webhook;
    await commit(store, {
      ...origin,
      checks: [
        { kind: 'webhook', id, revision },
        ...(state === undefined
          ? []
          : [{ kind: 'webhook-state' as const, id, revision: state.before.revision }]),
      ],
      changes: [
        putWebhook(id, { ...value, updatedAt: iso(now()) }),
        ...(state === undefined ? [] : [putState(id, state.value)]),
      ],
    });
  }

  /** `given` over what there is; `enabled` undefined: as it is. */
  async function change(
    origin: WriteOrigin,
    id: string,
    given: (before: WebhookRecord) => Given,
    enabled: boolean | undefined,
  ): Promise<Webhook> {
    await retryOnConflict(async () => {
      const found = await findOwn(origin, id);
      const { webhook, state } = found;
      origin.condition?.(webhook.revision);
      const { url = webhook.value.url, tenant, ...filters } = given(webhook.value);
      const value: WebhookRecord = {
        ...webhook.value,
        ...Object.fromEntries(Object.entries(filters).filter(([, one]) => one !== undefined)),
        url: url === webhook.value.url ? url : checkUrl(url),
      };
      if (tenant !== undefined) value.tenant = ownTenant(origin.bounds, tenant ?? undefined) ?? null;
      if (value.tenant !== webhook.value.tenant) await requireRoom(value.tenant);
      const switched = enabled !== undefined && enabled !== (webhook.value.disabled === null);
      if (!switched) return isDeepStrictEqual(value, webhook.value) ? undefined : write(origin, found, value);
      value.disabled = enabled ? null : { at: iso(now()), reason: 'it was disabled by its owner' };
      await write(origin, found, value, {
        before: state,
        value: enabled ? anew(state.value) : { ...state.value, dueAt: null },
      });
    });
    return view(id);
  }

  /** Everything that waits is tried at once, and for three days again. */
  function anew(state: WebhookStateRecord): WebhookStateRecord {
    const subjects = state.subjects.map((one) => asNew(one));
    return { ...state, subjects, failingSince: null, dueAt: iso(now()) };
  }

  const view = async (id: string) => presentWebhook(await findWebhook(store, id));

  return {
    view,

    async make(origin, body, { id, secret } = newWebhook()) {
      const at = iso(now());
      const value: WebhookRecord = {
        url: checkUrl(body.url),
        description: body.description ?? null,
        types: body.types ?? null,
        routes: body.routes ?? null,
        tenant: ownTenant(origin.bounds, body.tenant) ?? null,
        sealedSecrets: seal(id, [{ secret, until: null }]),
        disabled: null,
        createdAt: at,
        updatedAt: at,
      };
      await writeInTurn(store, [claimPrefix(value.tenant ?? '')], async () => {
        await requireRoom(value.tenant);
        const { last } = await store.readEvents({ limit: 0 });
        await commit(store, {
          ...origin,
          checks: [{ kind: 'webhook', id, revision: null }],
          changes: [putWebhook(id, value), putState(id, beginningAfter(last))],
        });
      });
      return { ...(await view(id)), secret };
    },

    async list(page, tenant) {
      const { items, next } =
        tenant === undefined
          ? await store.list('webhook', page)
          : await pageByClaims(store, { kind: 'webhook', prefix: claimPrefix(tenant) }, page);
      const states = await store.getMany(
        'webhook-state',
        items.map(({ id }) => id),
      );
      const shown = items.flatMap((webhook, index) => {
        const state = states[index] ?? null;
        return state === null ? [] : presentWebhook({ webhook, state });
      });
      return { items: shown, next };
    },

    put: (origin, id, { url, description, types, routes, tenant, enabled }) =>
      change(
        origin,
        id,
        () => ({
          url,
          description: description ?? null,
          types: types ?? null,
          routes: routes ?? null,
          tenant: tenant ?? null,
        }),
        enabled,
      ),

    patch: (origin, id, { enabled, ...given }) => change(origin, id, () => given, enabled),

    async remove(origin, id) {
      await retryOnConflict(async () => {
        const { webhook, state } = await findOwn(origin, id);
        origin.condition?.(webhook.revision);
        const kept = await readDeliveries(store, id);
        await commit(store, {
          ...origin,
          checks: [
            { kind: 'webhook', id, revision: webhook.revision },
            { kind: 'webhook-state', id, revision: state.revision },
          ],
          changes: [
            { op: 'delete', kind: 'webhook', id },
            { op: 'delete', kind: 'webhook-state', id },
            ...deleteDeliveries(id, kept),
          ],
        });
      });
    },

    async rotate(origin, id, secret = newSecret()) {
      await retryOnConflict(async () => {
        const found = await findOwn(origin, id);
        origin.condition?.(found.webhook.revision);
        const until = iso(now() + overlapMs);
        // The one that was for good, for a day yet; of those before it, what is left of theirs.
        const older = secretsOf(sealer, id, found.webhook.value.sealedSecrets, now())
          .map((one) => ({ ...one, until: one.until ?? until }))
          .slice(0, 2);
        const sealedSecrets = seal(id, [{ secret, until: null }, ...older]);
        await write(origin, found, { ...found.webhook.value, sealedSecrets });
      });
      return { ...(await view(id)), secret };
    },
  };
}

function beginningAfter(after: string): WebhookStateRecord {
  return {
    after,
    subjects: [],
    failingSince: null,
    takenAt: null,
    dueAt: null,
    gapAt: null,
    tries: 0,
    givenUp: 0,
  };
}
