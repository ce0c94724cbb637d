import {
  AppError,
  canaryId,
  edgeCanaryId,
  type FleetKeysStatus,
  isAppError,
  type Position,
  recordKey,
  rotationId,
  type StoredRecord,
} from '@lockstep/contract';
import { checkCanary, keyIdOf, type Sealers, sealCanary } from '@lockstep/pki';
import type { Change, Commit, ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ChangeHub } from '../changes/change-hub.ts';
import { commit, writeInTurn } from '../changes/writes.ts';
import { createSharedRun } from '../time/shared-run.ts';
import { holdsSealed, sealedAnew } from './sealed-records.ts';

/** One rotation at a time changes the canary: a second try is nearly always enough. */
const mostTries = 10;
/** Before another try to read them. */
const retryMs = 2_000;

/** Which of its keys the fleet seals with: the one that the canary in the store is sealed with. */
export interface FleetKeys {
  /** The store; what its commits bring is sealed with the current key, whatever it was sealed with by whoever made them. */
  readonly store: ConfigStore;
  /** The rotation under way, as this control plane knows it. */
  rotation(): StoredRecord<'rotation'> | null;
  status(): FleetKeysStatus;
  /** Why this control plane cannot go on: it lacks a key; null: it has all. */
  fault(): string | null;
  /** Reads them now. Throws `wrong_secret_key` when this control plane lacks one, and `store_unavailable`. */
  refresh(): Promise<void>;
  /** Keeps them current from now on. */
  follow(hub: ChangeHub, log: Logger): () => void;
}

/**
 * Throws `wrong_secret_key` when something may be sealed with a key that is not among these; leaves a canary for each key in a store that
 * has none.
 */
export async function openFleetKeys(store: ConfigStore, sealers: Sealers): Promise<FleetKeys> {
  let canaryRevision = 0;
  let rotation: StoredRecord<'rotation'> | null = null;
  let fault: string | null = null;
  const { commit: commitOnce } = store;

  async function read(): Promise<void> {
    const [canary, under] = [await store.get('canary', canaryId), await store.get('rotation', rotationId)];
    if (canary === null) throw new AppError('store_lost', 'the store has lost its canary');
    checkCanary(sealers.controlPlanes, canary.value.sealed);
    for (const { control } of under?.value.older ?? []) refuseWithout(control);
    sealers.sealWith(keyIdOf(canary.value.sealed)!);
    canaryRevision = canary.revision;
    rotation = under;
  }

  function refuseWithout(keyId: string): void {
    const { keyIds } = sealers.controlPlanes;
    if (keyIds.includes(keyId)) return;
    throw new AppError(
      'wrong_secret_key',
      `the keys are being rotated, and some secrets are still sealed with the key ${keyId}, which LOCKSTEP_SECRET_KEY does not hold (it holds ${keyIds.join(', ')}); list that key too until GET /v1/fleet says that nothing is left`,
    );
  }

  const refresh = createSharedRun(async () => {
    try {
      await read();
      fault = null;
    } catch (error) {
      if (isAppError(error, 'wrong_secret_key')) fault = error.message;
      throw error;
    }
  });

  /**
   * Whoever prepares a commit may have sealed before the keys were rotated, or carry on what was read before. With the canary among the
   * checks, nothing is committed by a control plane that does not know yet which key is the current one.
   */
  async function commitWithCurrentKey(write: Commit): Promise<Position> {
    if (!write.changes.some(holdsSealed)) return commitOnce(write);
    for (let tries = 1; ; tries += 1) {
      try {
        return await commitOnce({
          ...write,
          checks: [...(write.checks ?? []), { kind: 'canary', id: canaryId, revision: canaryRevision }],
          changes: write.changes.map((change) => sealedAnew(sealers, change)),
        });
      } catch (error) {
        const outdated = isAppError(error, 'revision_conflict') && error.facts.kind === 'canary';
        if (!outdated || tries === mostTries) throw error;
        await refresh();
      }
    }
  }

  await makeCanaries(store, sealers);
  await refresh();

  return {
    store: Object.create(store, { commit: { value: commitWithCurrentKey } }) as ConfigStore,
    rotation: () => rotation,
    status() {
      const { older = [], left = null } = rotation?.value ?? {};
      const state = (current: string, ids: string[]) => ({
        current,
        older: ids.map((id) => ({ id, left: left?.[id] ?? null })),
      });
      return {
        secret: state(
          sealers.controlPlanes.keyId,
          older.map(({ control }) => control),
        ),
        edge: state(
          sealers.edges.keyId,
          older.map(({ edge }) => edge),
        ),
      };
    },
    fault: () => fault,
    refresh,
    follow(hub, log) {
      let closed = false;
      let timer: NodeJS.Timeout | undefined;
      const look = () => {
        clearTimeout(timer);
        refresh().catch((error: unknown) => {
          log.error({ err: error }, 'cannot tell which key is the current one; looking again');
          clearTimeout(timer);
          if (!closed) timer = setTimeout(look, retryMs);
        });
      };
      const unwatch = hub.watch((entry) => {
        if (entry === null || entry.changes.some(({ kind }) => kind === 'canary' || kind === 'rotation'))
          look();
      });
      return () => {
        closed = true;
        unwatch();
        clearTimeout(timer);
      };
    },
  };
}

async function makeCanaries(store: ConfigStore, sealers: Sealers): Promise<void> {
  await writeInTurn(store, [recordKey('canary', canaryId)], async () => {
    if ((await store.get('canary', canaryId)) !== null) return;
    await commit(store, {
      by: { kind: 'system' },
      checks: [{ kind: 'canary', id: canaryId, revision: null }],
      changes: putCanaries(sealers),
    });
  });
}

/** The canaries, sealed with the keys that these seal with: with their commit the fleet seals with those. */
export function putCanaries({ controlPlanes, edges }: Sealers): Change[] {
  return [
    { op: 'put', kind: 'canary', id: canaryId, value: { sealed: sealCanary(controlPlanes) } },
    { op: 'put', kind: 'edge-canary', id: edgeCanaryId, value: { sealed: sealCanary(edges) } },
  ];
}
