import { randomUUID } from 'node:crypto';
import { type AuthorityRecord, isAppError, recordKey } from '@lockstep/contract';
import { type Authority, createAuthority, type Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';

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
  const known = await findAuthority(store);
  if (known !== null)
    return { certificate: known.certificate, keyPem: sealer.open(known.sealedKey, context) };
  const authority = await createAuthority({ now: now() });
  try {
    await store.commit({
      id: randomUUID(),
      checks: [{ kind: 'authority', id: authorityId, revision: null }],
      changes: [
        {
          op: 'put',
          kind: 'authority',
          id: authorityId,
          value: { certificate: authority.certificate, sealedKey: sealer.seal(authority.keyPem, context) },
        },
      ],
    });
    return authority;
  } catch (error) {
    if (!isAppError(error, 'revision_conflict')) throw error;
    return findOrMakeAuthority(store, sealer, now);
  }
}
