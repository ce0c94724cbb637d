import { recordKey } from '@lockstep/contract';
import { checkCanary, type Sealer, sealCanary } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import { commit, writeInTurn } from '../changes/writes.ts';

const canaryId = 'canary';

/** Throws `wrong_secret_key` when the store was made with another key; leaves a canary in a store that has none. */
export async function checkStoreCanary(store: ConfigStore, sealer: Sealer): Promise<void> {
  await writeInTurn(store, [recordKey('canary', canaryId)], async () => {
    const known = await store.get('canary', canaryId);
    if (known !== null) return checkCanary(sealer, known.value.sealed);
    await commit(store, {
      by: { kind: 'system' },
      checks: [{ kind: 'canary', id: canaryId, revision: null }],
      changes: [{ op: 'put', kind: 'canary', id: canaryId, value: { sealed: sealCanary(sealer) } }],
    });
  });
}
