import { recordKey } from '@lockstep/contract';
import { canaryIds, checkCanary, type Sealers, sealCanary } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import { commit, writeInTurn } from '../changes/writes.ts';

const canaryId = canaryIds['control-planes'];

/** Throws `wrong_secret_key` when the store was made with another key; leaves a canary for each key in a store that has none. */
export async function checkStoreCanary(store: ConfigStore, sealers: Sealers): Promise<void> {
  await writeInTurn(store, [recordKey('canary', canaryId)], async () => {
    const known = await store.get('canary', canaryId);
    if (known !== null) return checkCanary(sealers.controlPlanes, known.value.sealed);
    await commit(store, {
      by: { kind: 'system' },
      checks: [{ kind: 'canary', id: canaryId, revision: null }],
      changes: [sealers.controlPlanes, sealers.edges].map((sealer) => ({
        op: 'put',
        kind: 'canary',
        id: canaryIds[sealer.holder],
        value: { sealed: sealCanary(sealer) },
      })),
    });
  });
}
