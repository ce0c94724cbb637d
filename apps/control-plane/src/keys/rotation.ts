import { AppError, canaryId, recordKey, rotationId } from '@lockstep/contract';
import { keyIdOf, type Sealers } from '@lockstep/pki';
import { commit, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { iso } from '../time/iso.ts';
import { type FleetKeys, putCanaries } from './fleet-keys.ts';
import type { Keyrings } from './keyrings.ts';

/**
 * Has the fleet seal with the first of this control plane's keys from now on. Called again while that rotation is under way, it changes
 * nothing. Throws `wrong_state` when that key is the current one, and when a running control plane lacks it or an expected edge does not have
 * it as its first: by name.
 */
export type Rotate = (origin: WriteOrigin) => Promise<void>;

export interface RotationOptions {
  keys: FleetKeys;
  sealers: Sealers;
  fleet: Pick<Fleet, 'refresh' | 'nodes'>;
  keyrings: Pick<Keyrings, 'lacking'>;
  now: () => number;
}

export function createRotation({ keys, sealers, fleet, keyrings, now }: RotationOptions): Rotate {
  const { store } = keys;

  async function refuseWhereLacking(target: Sealers): Promise<void> {
    await fleet.refresh();
    const { keyId } = target.edges;
    // An edge's saved configuration is sealed with its first key, and would not open once the edge has the new one alone.
    const edges = fleet.nodes().flatMap(({ report }) => (report.keys[0] === keyId ? [] : [report.node]));
    const lacking = [
      ...edges.map((node) => `edge ${node} (key ${keyId}, as its first)`),
      ...(await keyrings.lacking(target.controlPlanes.keyId)),
    ];
    if (lacking.length === 0) return;
    throw new AppError(
      'wrong_state',
      `not all have the new key ${target.controlPlanes.keyId} yet: ${lacking.join(', ')}; start them with the new key before the old one, and remove edges that do not come back`,
    );
  }

  return async (origin) => {
    await keys.refresh();
    const target = sealers.sealingWith(sealers.controlPlanes.keyIds[0]!);
    const { keyId } = target.controlPlanes;
    if (keyId === sealers.controlPlanes.keyId) {
      if (keys.rotation() !== null) return;
      throw new AppError(
        'wrong_state',
        `the fleet seals with the key ${keyId} already, which is the first in LOCKSTEP_SECRET_KEY; make another with \`lockstep keygen\`, and put it before that one everywhere`,
      );
    }
    await refuseWhereLacking(target);
    await writeInTurn(store, [recordKey('canary', canaryId)], async () => {
      const [canary, under] = [await store.get('canary', canaryId), await store.get('rotation', rotationId)];
      const current = canary === null ? null : keyIdOf(canary.value.sealed);
      if (current === null || current === keyId) return;
      const { controlPlanes, edges } = sealers.sealingWith(current);
      const given = { control: controlPlanes.keyId, edge: edges.keyId };
      const older = [...(under?.value.older ?? []), given].filter(({ control }) => control !== keyId);
      await commit(store, {
        ...origin,
        checks: [
          { kind: 'canary', id: canaryId, revision: canary?.revision ?? null },
          { kind: 'rotation', id: rotationId, revision: under?.revision ?? null },
        ],
        changes: [
          ...putCanaries(target),
          {
            op: 'put',
            kind: 'rotation',
            id: rotationId,
            value: { startedAt: iso(now()), older, left: null },
          },
        ],
      });
    });
    await keys.refresh();
  };
}
