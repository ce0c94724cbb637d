import {
  AppError,
  grants,
  isWithinSuffixes,
  type NewToken,
  type OwnershipPolicy,
  type PostToken,
  type StoredRecord,
  type Token,
  type TokenRecord,
} from '@lockstep/contract';
import type { ConfigStore, Page, PageRequest } from '@lockstep/store';
import type { Access } from '../auth/access.ts';
import { beyondToken } from '../auth/bounds.ts';
import { pageByClaims } from '../changes/by-claims.ts';
import { commit, type WriteOrigin } from '../changes/writes.ts';
import { iso } from '../time/iso.ts';
import { invalidField } from '../validation/invalid-field.ts';
import { expiredKeptMs } from './expired-tokens.ts';
import type { KnownTokens } from './known-tokens.ts';
import { hashToken, type MadeToken, makeToken } from './token-text.ts';

/** Tokens as the API shows and makes them. Whoever is of a tenant sees those of the tenant alone; nobody gives what it does not have. */
export interface TokenService {
  /** Throws `forbidden` and `invalid_request`. */
  make(origin: WriteOrigin, by: Access, body: PostToken, token?: MadeToken): Promise<NewToken>;
  /** Throws `not_found`. */
  view(by: Access, id: string): Promise<Token>;
  list(by: Access, page: PageRequest): Promise<Page<Token>>;
  /** From then on it is refused: here at once, elsewhere as soon as that was heard of. Throws `not_found`. */
  revoke(origin: WriteOrigin, by: Access, id: string): Promise<void>;
}

export interface TokenServiceOptions {
  store: ConfigStore;
  known: Pick<KnownTokens, 'forget'>;
  now?: () => number;
}

/** What a token of a tenant may be for: the rest is of the whole fleet. */
const subjectsOfTenants = ['routes', 'certificates', 'events', 'webhooks', 'tokens', 'audit'];

const claimPrefix = (tenant: string) => `tenant ${tenant} token `;

export function createTokenService({ store, known, now = Date.now }: TokenServiceOptions): TokenService {
  async function find({ tenant }: Access, id: string): Promise<StoredRecord<'token'>> {
    const record = await store.get('token', id);
    if (record === null || (tenant !== null && record.value.tenant !== tenant))
      throw new AppError('not_found', `there is no token "${id}"`, { facts: { token: id } });
    return record;
  }

  async function present(records: StoredRecord<'token'>[]): Promise<Token[]> {
    const uses = await store.getMany(
      'token-use',
      records.map(({ id }) => id),
    );
    return records.map(({ id, revision, value: { hash: _, ...shown } }, index) => ({
      id,
      ...shown,
      lastUsedAt: uses[index]?.value.lastUsedAt ?? null,
      revision,
    }));
  }

  return {
    async make(origin, by, body, { id, text } = makeToken()) {
      const value: TokenRecord = {
        ...bounded(by, body),
        name: body.name,
        hash: hashToken(text),
        scopes: body.scopes,
        rateLimit: body.rateLimit ?? null,
        createdAt: iso(now()),
      };
      if (value.expiresAt !== null && Date.parse(value.expiresAt) <= now())
        throw invalidField('/expiresAt', 'is past already');
      const claims = value.tenant === null ? [] : [claimPrefix(value.tenant) + id];
      await commit(store, {
        ...origin,
        checks: [{ kind: 'token', id, revision: null }],
        changes: [{ op: 'put', kind: 'token', id, value, claims, dueAt: forgottenAt(value) }],
      });
      const [shown] = await present([await find(by, id)]);
      return { ...(shown as Token), token: text };
    },

    async view(by, id) {
      const [shown] = await present([await find(by, id)]);
      return shown as Token;
    },

    async list({ tenant }, page) {
      const { items, next } =
        tenant === null
          ? await store.list('token', page)
          : await pageByClaims(store, { kind: 'token', prefix: claimPrefix(tenant) }, page);
      return { items: await present(items), next };
    },

    async revoke(origin, by, id) {
      const { revision } = await find(by, id);
      origin.condition?.(revision);
      await commit(store, {
        ...origin,
        checks: [{ kind: 'token', id, revision }],
        changes: [
          { op: 'delete', kind: 'token', id },
          { op: 'delete', kind: 'token-use', id },
        ],
      });
      known.forget(id);
    },
  };
}

function forgottenAt({ expiresAt }: TokenRecord): number | null {
  return expiresAt === null ? null : Date.parse(expiresAt) + expiredKeptMs;
}

/** How far a token reaches: never further than that by which it is made. */
function bounded(
  by: Access,
  { scopes, tenant, hostSuffixes, ownership, expiresAt }: PostToken,
): Pick<TokenRecord, 'tenant' | 'hostSuffixes' | 'ownership' | 'expiresAt'> {
  const beyond = scopes.find((scope) => !grants(by.scopes, scope));
  if (beyond !== undefined)
    throw new AppError(
      'forbidden',
      `the token "${by.principal.name}" lacks the scope ${beyond}, and cannot give it`,
      {
        facts: { scope: beyond },
      },
    );
  if (by.tenant !== null && tenant != null && tenant !== by.tenant)
    throw beyondToken(
      '/tenant',
      `has to be "${by.tenant}", that of the token which makes it; or leave it out`,
    );
  const own = tenant ?? by.tenant;
  scopes.forEach((scope, index) => {
    if (own !== null && !subjectsOfTenants.includes(scope.split(':')[0] ?? ''))
      throw invalidField(
        `/scopes/${index}`,
        `"${scope}" is of the whole fleet, and not for a token with a tenant`,
      );
  });
  hostSuffixes?.forEach((suffix, index) => {
    if (by.hostSuffixes !== null && !isWithinSuffixes(suffix, by.hostSuffixes))
      throw beyondToken(`/hostSuffixes/${index}`, `"${suffix}" is beyond those of the token which makes it`);
  });
  const until = expiresAt == null ? by.expiresAt : Date.parse(expiresAt);
  if (by.expiresAt !== null && until !== null && until > by.expiresAt)
    throw beyondToken('/expiresAt', `is after ${iso(by.expiresAt)}, when the token which makes it expires`);
  return {
    tenant: own,
    hostSuffixes: hostSuffixes ?? (by.hostSuffixes === null ? null : [...by.hostSuffixes]),
    ownership: ownershipOf(by, ownership ?? null),
    expiresAt: until === null ? null : iso(until),
  };
}

/** Which proofs are asked for is the operator's to say: what a tenant's token makes asks for the same as that does. */
function ownershipOf(by: Access, given: OwnershipPolicy | null): OwnershipPolicy | null {
  const own = by.ownership ?? null;
  if (given === null || given === own) return own;
  if (by.tenant !== null)
    throw beyondToken('/ownership', 'is for a token without a tenant to set; leave it out');
  if (own !== null && strictness[given] < strictness[own])
    throw beyondToken('/ownership', `asks for less than "${own}", which the token that makes it is held to`);
  return given;
}

const strictness = { off: 0, http: 1, txt: 2 } as const satisfies Record<OwnershipPolicy, number>;
