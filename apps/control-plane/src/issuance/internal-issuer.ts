import { randomUUID } from 'node:crypto';
import { type AuthorityRecord, isAppError, recordKey } from '@lockstep/contract';
import { createAuthority, generateKeyPem, issueCertificate, type Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import type { Issuer } from './issuer.ts';

const authorityId = 'internal';
const lifetimeMs = 90 * 86_400_000;

export interface InternalIssuer extends Issuer {
  /** PEM of the root that clients have to trust. */
  readonly rootCertificate: string;
}

export interface InternalIssuerOptions {
  store: ConfigStore;
  sealer: Sealer;
  now?: () => number;
}

/** The internal CA, made once for the whole fleet: of two control planes that start together, one makes it and both use it. */
export async function createInternalIssuer({
  store,
  sealer,
  now = Date.now,
}: InternalIssuerOptions): Promise<InternalIssuer> {
  const record = await findOrMakeAuthority(store, sealer);
  const keyPem = sealer.open(record.sealedKey, recordKey('authority', authorityId));
  const authority = { certificate: record.certificate, keyPem };
  return {
    name: 'internal',
    rootCertificate: record.certificate,
    async advance(_id, order) {
      const certificateKey = await generateKeyPem();
      const chain = await issueCertificate({
        authority,
        host: order.host,
        keyPem: certificateKey,
        lifetimeMs,
        now: now(),
      });
      return { outcome: 'issued', chain, keyPem: certificateKey };
    },
  };
}

async function findOrMakeAuthority(store: ConfigStore, sealer: Sealer): Promise<AuthorityRecord> {
  const known = await store.get('authority', authorityId);
  if (known !== null) return known.value;
  const { certificate, keyPem } = await createAuthority();
  const value = { certificate, sealedKey: sealer.seal(keyPem, recordKey('authority', authorityId)) };
  try {
    await store.commit({
      id: randomUUID(),
      checks: [{ kind: 'authority', id: authorityId, revision: null }],
      changes: [{ op: 'put', kind: 'authority', id: authorityId, value }],
    });
    return value;
  } catch (error) {
    if (!isAppError(error, 'revision_conflict')) throw error;
    return findOrMakeAuthority(store, sealer);
  }
}
