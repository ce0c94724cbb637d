import { recordKind } from './kind-module.ts';

/** One account of an ACME issuer at its directory, made once for the whole fleet. */
export interface AccountRecord {
  directory: string;
  /** Null until the CA has answered; the key is committed first, so that no second account is ever made. */
  accountUrl: string | null;
  /** PKCS#8 PEM, sealed with `account/<id>`. */
  sealedKey: string;
  /** What the CA's challenges of type dns-persist-01 said last, where that is not what its directory and the account's URL say. */
  persist?: { issuerDomains: string[]; accountUri: string };
}

export const account = recordKind<AccountRecord>()({
  kind: 'account',
  audience: 'control',
  version: 1,
  secret: { sealedKey: 'control' },
  journal: () => true,
});
