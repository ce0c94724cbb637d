import type { KeyType } from '@lockstep/contract';
import { type Authority, createKeyPair, issueLeaf, type Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import { findOrMakeAuthority } from './authority.ts';
import type { Issuer } from './issuer.ts';

export interface InternalIssuerOptions {
  name: string;
  store: ConfigStore;
  sealer: Sealer;
  keyType: KeyType;
  lifetimeMs: number;
  now: () => number;
}

/** The internal CA: it asks nobody, and so needs no challenge. */
export function createInternalIssuer(options: InternalIssuerOptions): Issuer {
  const { name, store, sealer, keyType, lifetimeMs, now } = options;
  let opening: Promise<Authority> | null = null;

  function authority(): Promise<Authority> {
    opening ??= findOrMakeAuthority(store, sealer, now).catch((error: unknown) => {
      opening = null;
      throw error;
    });
    return opening;
  }

  return {
    name,
    limits: null,
    asksCa: false,
    refuses: () => null,
    persist: async () => null,
    caa: async () => ({ identities: [], method: null, accountUrl: null }),
    async advance(_id, { host }) {
      const { keyPem, publicKey } = await createKeyPair(keyType);
      const issued = await issueLeaf({
        authority: await authority(),
        host,
        publicKey,
        lifetimeMs,
        now: now(),
      });
      return { outcome: 'issued', keyPem, ...issued };
    },
    cleanUp: async () => {},
    renewalInfo: async () => null,
    revoke: async () => {}, // it publishes no list: replacing the certificate is all there is to do
    accountUrl: async () => null,
    close: () => {},
  };
}
