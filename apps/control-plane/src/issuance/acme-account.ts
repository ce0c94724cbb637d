import { createHash, randomUUID } from 'node:crypto';
import { type AccountRecord, isAppError, recordKey, type StoredRecord } from '@lockstep/contract';
import { generateKeyPem, type Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';

export interface AcmeAccount {
  id: string;
  keyPem: string;
  /** Null until the CA has been asked for the account of this key. */
  url: string | null;
}

/**
 * The account at a directory. Its key is committed before the CA hears of it, so that control planes which start together, or
 * one that dies in between, end up with the same account (RFC 8555, section 7.3.1: a known key gives the known account).
 */
export async function findOrMakeAccount(
  store: ConfigStore,
  sealer: Sealer,
  directory: string,
): Promise<AcmeAccount> {
  const id = accountId(directory);
  const known = await store.get('account', id);
  if (known !== null) return openAccount(known, sealer);
  const keyPem = await generateKeyPem();
  const value: AccountRecord = {
    directory,
    accountUrl: null,
    sealedKey: sealer.seal(keyPem, recordKey('account', id)),
  };
  try {
    await store.commit({
      id: randomUUID(),
      checks: [{ kind: 'account', id, revision: null }],
      changes: [{ op: 'put', kind: 'account', id, value }],
    });
    return { id, keyPem, url: null };
  } catch (error) {
    if (!isAppError(error, 'revision_conflict')) throw error;
    return findOrMakeAccount(store, sealer, directory);
  }
}

/** Writes down what the CA answered; another control plane may have done so already. */
export async function rememberAccountUrl(store: ConfigStore, id: string, accountUrl: string): Promise<void> {
  const known = await store.get('account', id);
  if (known === null || known.value.accountUrl === accountUrl) return;
  try {
    await store.commit({
      id: randomUUID(),
      checks: [{ kind: 'account', id, revision: known.revision }],
      changes: [{ op: 'put', kind: 'account', id, value: { ...known.value, accountUrl } }],
    });
  } catch (error) {
    if (!isAppError(error, 'revision_conflict')) throw error;
  }
}

function openAccount(record: StoredRecord<'account'>, sealer: Sealer): AcmeAccount {
  const keyPem = sealer.open(record.value.sealedKey, recordKey('account', record.id));
  return { id: record.id, keyPem, url: record.value.accountUrl };
}

function accountId(directory: string): string {
  return `acme-${createHash('sha256').update(directory).digest('hex').slice(0, 16)}`;
}
