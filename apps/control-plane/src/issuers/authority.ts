import { type AuthorityRecord, recordKey } from '@lockstep/contract';
import { type Authority, createAuthority, type Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import { commit, writeInTurn } from '../changes/writes.ts';

const authorityId = 'internal';

/** The internal CA as it stands in the store; null before its first use. */
export async function findAuthority(store: ConfigStore): Promise<AuthorityRecord | null> {
  return (await store.get('authority', authorityId))?.value ?? null;
}

/** The internal CA, made once for the whole fleet: of two control planes that start together, one makes it and both use it. */
export async function findOrMakeAuthority(
  store: ConfigStore,
  sealer: Sealer,
  now: () => number,
): Promise<Authority> {
  const context = recordKey('authority', authorityId);
  return writeInTurn(store, [context], async () => {
    const known = await findAuthority(store);
    if (known !== null)
      return { certificate: known.certificate, keyPem: sealer.open(known.sealedKey, context) };
    const authority = await createAuthority({ now: now() });
    const value = { certificate: authority.certificate, sealedKey: sealer.seal(authority.keyPem, context) };
    await commit(store, {
      by: { kind: 'system' },
      checks: [{ kind: 'authority', id: authorityId, revision: null }],
      changes: [{ op: 'put', kind: 'authority', id: authorityId, value }],
    });
    return authority;
  });
}
