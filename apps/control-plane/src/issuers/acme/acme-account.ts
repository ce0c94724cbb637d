import { setTimeout as delay } from 'node:timers/promises';
import { type AccountRecord, recordKey, type StoredRecord } from '@lockstep/contract';
import { generateKeyPem, type Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import { commitUnlessChanged } from '../../changes/writes.ts';

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
  /** The id of the account's record. */
  id: string;
  directory: string;
  signal: AbortSignal;
  /** Asks the CA for the account of this key, which is made where there is none (RFC 8555, section 7.3.1). */
  register(keyPem: string): Promise<string>;
}

/**
 * The account of an issuer. Its key is committed before the CA hears of it, and one control plane at a time asks the CA: so those
 * which start together, or one that dies in between, end up with the same account.
 */
export async function openAccount(options: OpenAccountOptions): Promise<AcmeAccount> {
  const { id, store, sealer, signal } = options;
  for (;;) {
    const known = await findOrMakeKey(options);
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

/** The URL of an account at its CA, once it has been made. */
export async function findAccountUrl(store: ConfigStore, id: string | null): Promise<string | null> {
  return id === null ? null : ((await store.get('account', id))?.value.accountUrl ?? null);
}

/** The CA no longer knows the account: the next use makes another, with a new key unless somebody has done so already. */
export async function forgetAccount(store: ConfigStore, { id, url }: AcmeAccount): Promise<void> {
  const known = await store.get('account', id);
  if (known === null || known.value.accountUrl !== url) return;
  await commitIfUnchanged(store, known, null);
}

async function findOrMakeKey(options: OpenAccountOptions): Promise<StoredRecord<'account'>> {
  const { id, store, sealer, directory } = options;
  const known = await store.get('account', id);
  if (known !== null) return known;
  const sealedKey = sealer.seal(await generateKeyPem(), recordKey('account', id));
  const value: AccountRecord = { directory, accountUrl: null, sealedKey };
  await commitUnlessChanged(store, {
    by: { kind: 'system' },
    checks: [{ kind: 'account', id, revision: null }],
    changes: [{ op: 'put', kind: 'account', id, value }],
  });
  return findOrMakeKey(options);
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
  await commitUnlessChanged(store, {
    by: { kind: 'system' },
    cause: revision,
    checks: [{ kind: 'account', id, revision }],
    changes: [
      value === null ? { op: 'delete', kind: 'account', id } : { op: 'put', kind: 'account', id, value },
    ],
  });
}
