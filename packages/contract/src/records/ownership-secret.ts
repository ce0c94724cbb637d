import { recordKind } from './kind-module.ts';

/** The one record of its kind. */
export const ownershipSecretId = 'fleet';

/** What the tokens are made from by which customers prove whose a name is: made once, and kept, as their records stay where they are. */
export interface OwnershipSecretRecord {
  /** 32 bytes, as base64; sealed. */
  sealedSecret: string;
}

export const ownershipSecret = recordKind<OwnershipSecretRecord>()({
  kind: 'ownership-secret',
  audience: 'control',
  version: 1,
  secret: { sealedSecret: 'control' },
  journal: () => false,
});
