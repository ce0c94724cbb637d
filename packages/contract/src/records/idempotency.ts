import { recordKind } from './kind-module.ts';

/** A request that was made under a key of its caller's. Its id is a digest of whose key it is, and of the key. */
export interface IdempotencyRecord {
  at: string;
  /** In JSON, deflated, as base64: which request it was, what it made, and its answer, once there was one. */
  sealedOutcome: string;
}

export const idempotency = recordKind<IdempotencyRecord>()({
  kind: 'idempotency',
  audience: 'control',
  version: 1,
  secret: { sealedOutcome: 'control' },
  journal: () => false,
});
