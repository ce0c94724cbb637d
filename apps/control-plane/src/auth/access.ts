import {
  AppError,
  grants,
  type NeededScope,
  type OwnershipPolicy,
  type Principal,
  type Scope,
} from '@lockstep/contract';

/** Whose a request is, and what it may do. */
export interface Access {
  principal: Extract<Principal, { kind: 'token' }>;
  scopes: readonly Scope[];
  /** Whose things alone it sees and makes; null: everybody's. */
  tenant: string | null;
  /** The names that its routes and certificates may be for, with those below them; null: any. */
  hostSuffixes: readonly string[] | null;
  /** What has to be proven before a host that it names is served; left out: what the settings say. */
  ownership?: OwnershipPolicy;
  /** Left out: as for every token; null: without a limit. */
  rateLimit?: { requests: number; perMs: number } | null;
  /** In milliseconds since 1970; null: never. */
  expiresAt: number | null;
}

/** That of a token of the environment. */
export const adminAccess: Access = {
  principal: { kind: 'token', name: 'admin' },
  scopes: ['admin'],
  tenant: null,
  hostSuffixes: null,
  rateLimit: null,
  expiresAt: null,
};

/** Throws `forbidden`, which names what is missing. */
export function requireScope({ principal, scopes }: Access, needed: NeededScope): void {
  if (grants(scopes, needed)) return;
  throw new AppError('forbidden', `the token "${principal.name}" lacks the scope ${needed}`, {
    facts: { scope: needed },
  });
}
