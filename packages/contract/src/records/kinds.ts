import { account } from './account.ts';
import { attempts } from './attempts.ts';
import { authority } from './authority.ts';
import { bucket } from './bucket.ts';
import { caddyRoute } from './caddy-route.ts';
import { canary } from './canary.ts';
import { certificate } from './certificate.ts';
import { challenge } from './challenge.ts';
import { confirmation } from './confirmation.ts';
import { drain } from './drain.ts';
import { edgeCanary } from './edge-canary.ts';
import { edgeSettings } from './edge-settings.ts';
import { idempotency } from './idempotency.ts';
import { issuer } from './issuer.ts';
import { keyring } from './keyring.ts';
import type { Audience, KindModule, SealedField } from './kind-module.ts';
import { order } from './order.ts';
import { ownership } from './ownership.ts';
import { ownershipSecret } from './ownership-secret.ts';
import { rotation } from './rotation.ts';
import { route } from './route.ts';
import { sessionTickets } from './session-tickets.ts';
import { settings } from './settings.ts';
import { staple } from './staple.ts';
import { token } from './token.ts';
import { tokenUse } from './token-use.ts';
import { told } from './told.ts';
import { webhook, webhookDelivery, webhookState } from './webhook.ts';

/** All that the store keeps, in the order of a snapshot. */
const recordKinds = [
  route,
  certificate,
  challenge,
  order,
  account,
  authority,
  canary,
  edgeCanary,
  confirmation,
  drain,
  issuer,
  settings,
  edgeSettings,
  attempts,
  bucket,
  staple,
  rotation,
  keyring,
  sessionTickets,
  idempotency,
  token,
  tokenUse,
  told,
  caddyRoute,
  webhook,
  webhookState,
  ownership,
  ownershipSecret,
  webhookDelivery,
];

type AnyKind = (typeof recordKinds)[number];

/** The type of a record's value, by its kind. */
export type RecordValues = {
  [R in AnyKind as R['kind']]: R extends KindModule<R['kind'], Audience, infer V> ? V : never;
};

export type Kind = keyof RecordValues;

/** Kinds whose values may hold something sealed. */
export type SealedKind = {
  [K in Kind]: [SealedField<RecordValues[K]>] extends [never] ? never : K;
}[Kind];

export const kinds: readonly Kind[] = recordKinds.map(({ kind }) => kind);

/** What is known of each kind, by its name. */
export const kindsByName: ReadonlyMap<string, KindModule<Kind, Audience, object>> = new Map(
  recordKinds.map((kind) => [kind.kind, kind]),
);

/** For whom records of all these kinds are: edges read them only where every kind is for edges. */
export function audienceOf(...kinds: readonly Kind[]): Audience {
  return kinds.every((kind) => kindsByName.get(kind)?.audience === 'edge') ? 'edge' : 'control';
}

/** What edges follow. */
export const edgeKinds: readonly Kind[] = kinds.filter((kind) => audienceOf(kind) === 'edge');
