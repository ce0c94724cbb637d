import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type AccountRecord, isAppError, recordKey, type StoredRecord } from '@lockstep/contract';
import { generateKeyPem, type Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';

/** Long enough for a CA to answer; another control plane takes over after it. */
const leaseMs = 40_000;
const lookAgainMs = 200;

export interface AcmeAccount {
  id: string;
  keyPem: string;
  url: string;
}

export interface OpenAccountOptions {
  store: ConfigStore;
  sealer: Sealer;
  issuer: string;
  directory: string;
  /** The external account that the key is bound to; another one is another account. */
  eabKid: string | null;
  signal: AbortSignal;
  /** Asks the CA for the account of this key, which is made where there is none (RFC 8555, section 7.3.1). */
  register(keyPem: string): Promise<string>;
}

/**
 * The account of an issuer. Its key is committed before the CA hears of it, and one control plane at a time asks the CA: so those
 * which start together, or one that dies in between, end up with the same account.
 */
export async function openAccount(options: OpenAccountOptions): Promise<AcmeAccount> {
  const { store, sealer, signal } = options;
  const id = accountId(options);
  for (;;) {
    const known = await findOrMakeKey(id, options);
    const keyPem = sealer.open(known.value.sealedKey, recordKey('account', id));
    if (known.value.accountUrl !== null) return { id, keyPem, url: known.value.accountUrl };
    const lease = await store.acquireLease(recordKey('account', id), leaseMs);
    if (lease === null) {
      await delay(lookAgainMs, undefined, { signal });
      continue;
    }
    try {
      const url = await options.register(keyPem);
      await writeUrl(store, known, url);
      return { id, keyPem, url };
    } finally {
      await store.releaseLease(lease).catch(() => {}); // it runs out by itself
    }
  }
}

/** The CA no longer knows the account: the next use makes another, with a new key unless somebody has done so already. */
export async function forgetAccount(store: ConfigStore, { id, url }: AcmeAccount): Promise<void> {
  const known = await store.get('account', id);
  if (known === null || known.value.accountUrl !== url) return;
  await commitIfUnchanged(store, known, null);
}

async function findOrMakeKey(id: string, options: OpenAccountOptions): Promise<StoredRecord<'account'>> {
  const { store, sealer, directory } = options;
  const known = await store.get('account', id);
  if (known !== null) return known;
  const sealedKey = sealer.seal(await generateKeyPem(), recordKey('account', id));
  const value: AccountRecord = { directory, accountUrl: null, sealedKey };
  try {
    await store.commit({
      id: randomUUID(),
      checks: [{ kind: 'account', id, revision: null }],
      changes: [{ op: 'put', kind: 'account', id, value }],
    });
  } catch (error) {
    if (!isAppError(error, 'revision_conflict')) throw error;
  }
  return findOrMakeKey(id, options);
}

async function writeUrl(
  store: ConfigStore,
  known: StoredRecord<'account'>,
  accountUrl: string,
): Promise<void> {
  await commitIfUnchanged(store, known, { ...known.value, accountUrl });
}

async function commitIfUnchanged(
  store: ConfigStore,
  { id, revision }: StoredRecord<'account'>,
  value: AccountRecord | null,
): Promise<void> {
  try {
    await store.commit({
      id: randomUUID(),
      checks: [{ kind: 'account', id, revision }],
      changes: [
        value === null ? { op: 'delete', kind: 'account', id } : { op: 'put', kind: 'account', id, value },
      ],
    });
  } catch (error) {
    if (!isAppError(error, 'revision_conflict')) throw error;
  }
}

function accountId({ issuer, directory, eabKid }: OpenAccountOptions): string {
  const hash = createHash('sha256').update(directory);
  if (eabKid !== null) hash.update(`\n${eabKid}`);
  return `${issuer}-${hash.digest('hex').slice(0, 16)}`;
}
