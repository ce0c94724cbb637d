import { recordKind } from './kind-module.ts';

/** The internal CA. */
export interface AuthorityRecord {
  certificate: string;
  /** PKCS#8 PEM, sealed with `authority/<id>`. */
  sealedKey: string;
}

export const authority = recordKind<AuthorityRecord>()({
  kind: 'authority',
  audience: 'control',
  version: 1,
  secret: { sealedKey: 'control' },
  journal: () => true,
});
