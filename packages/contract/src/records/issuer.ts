import type { PutIssuer } from '../api/issuer.ts';
import { recordKind } from './kind-module.ts';

/** What an issuer keeps secret, by field. */
export interface IssuerSecrets {
  eabHmacKey?: string | undefined;
  apiKey?: string | undefined;
  dnsProvider?: string | undefined;
}

/** An issuer as the store keeps it: `config` without secrets, those as JSON sealed with `issuer/<name>`. */
export interface IssuerRecord {
  config: PutIssuer;
  sealedSecrets: string | null;
  createdAt: string;
  updatedAt: string;
}

export const issuer = recordKind<IssuerRecord>()({
  kind: 'issuer',
  audience: 'control',
  version: 1,
  secret: { sealedSecrets: 'control' },
  journal: () => true,
});
