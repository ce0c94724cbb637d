import { randomUUID } from 'node:crypto';
import { isAppError } from '@lockstep/contract';
import { checkCanary, type Sealer, sealCanary } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';

const canaryId = 'canary';

/** Throws `wrong_secret_key` when the store was made with another key; leaves a canary in a store that has none. */
export async function checkStoreCanary(store: ConfigStore, sealer: Sealer): Promise<void> {
  const known = await store.get('canary', canaryId);
  if (known !== null) {
    checkCanary(sealer, known.value.sealed);
    return;
  }
  try {
    await store.commit({
      id: randomUUID(),
      checks: [{ kind: 'canary', id: canaryId, revision: null }],
      changes: [{ op: 'put', kind: 'canary', id: canaryId, value: { sealed: sealCanary(sealer) } }],
    });
  } catch (error) {
    if (!isAppError(error, 'revision_conflict')) throw error;
    await checkStoreCanary(store, sealer);
  }
}
