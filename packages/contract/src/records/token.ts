import type { OwnershipPolicy } from '../api/ownership.ts';
import { isList, isText } from '../shared/fields.ts';
import type { Scope } from '../shared/scopes.ts';
import { recordKind } from './kind-module.ts';

/** A token of the API. It never changes: it is made, and deleted. */
export interface TokenRecord {
  name: string;
  /** SHA-256 of the token, which nobody keeps, in base64url. */
  hash: string;
  scopes: Scope[];
  /** Null: of the whole fleet. */
  tenant: string | null;
  /** Null: of any name. */
  hostSuffixes: string[] | null;
  /** What has to be proven before a host that it names is served; null: what the settings say. */
  ownership: OwnershipPolicy | null;
  rateLimit: { requests: number; perMs: number } | null;
  expiresAt: string | null;
  createdAt: string;
}

export const token = recordKind<TokenRecord>()({
  kind: 'token',
  audience: 'control',
  version: 1,
  secret: { hash: true },
  journal: () => true,
  fault: ({ hash, scopes }) =>
    isText(hash) && isList(scopes) && scopes.every(isText) ? null : 'is no token',
});
