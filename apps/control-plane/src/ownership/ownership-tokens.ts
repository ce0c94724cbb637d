import { createHmac, randomBytes } from 'node:crypto';
import { ownershipSecretId, recordKey } from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import { commit, writeInTurn } from '../changes/writes.ts';

const context = recordKey('ownership-secret', ownershipSecretId);
const secretBytes = 32;
/** 24 bytes: more than anybody guesses, and short enough to be copied by hand. */
const tokenLength = 32;

/**
 * The token by which a tenant (null: routes without one) proves that a name is its own. The same for the same tenant and name for ever, whoever
 * asks, before there is a route too; it tells nothing of any other. Throws `store_unavailable`.
 */
export type OwnershipTokens = (tenant: string | null, name: string) => Promise<string>;

export function createOwnershipTokens({
  store,
  sealer,
}: {
  store: ConfigStore;
  sealer: Sealer;
}): OwnershipTokens {
  /** By epoch: another history has another one. */
  let known: { epoch: string | null; secret: Buffer } | null = null;

  /** Made once for the whole fleet, and sealed: of keys that change no text can be made that a customer sets once. */
  async function findOrMake(): Promise<Buffer> {
    return writeInTurn(store, [context], async () => {
      const record = await store.get('ownership-secret', ownershipSecretId);
      if (record !== null) return Buffer.from(sealer.open(record.value.sealedSecret, context), 'base64');
      const secret = randomBytes(secretBytes);
      const value = { sealedSecret: sealer.seal(secret.toString('base64'), context) };
      await commit(store, {
        by: { kind: 'system' },
        checks: [{ kind: 'ownership-secret', id: ownershipSecretId, revision: null }],
        changes: [{ op: 'put', kind: 'ownership-secret', id: ownershipSecretId, value }],
      });
      return secret;
    });
  }

  return async (tenant, name) => {
    const { epoch } = store;
    if (known === null || known.epoch !== epoch) known = { epoch, secret: await findOrMake() };
    const digest = createHmac('sha256', known.secret).update(JSON.stringify([tenant, name]));
    return `lockstep-${digest.digest('base64url').slice(0, tokenLength)}`;
  };
}
