import { isDeepStrictEqual } from 'node:util';
import type { AccountRecord, StoredRecord } from '@lockstep/contract';
import type { AcmeChallenge } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import { commitUnlessChanged } from '../../changes/writes.ts';
import { IssuerFailure } from '../issuer.ts';
import type { AcmeSession } from './acme-session.ts';

/** Whom the record of dns-persist-01 has to name. */
export type PersistFacts = NonNullable<AccountRecord['persist']>;

export interface PersistSource {
  /** Before there is a challenge: as the last one said, else as the directory and the account's URL say. Throws `AcmeProblem`. */
  before(signal: AbortSignal): Promise<PersistFacts>;
  /** As the challenge says; kept where that is news. Throws `IssuerFailure` for one that cannot be answered. */
  of(challenge: AcmeChallenge, signal: AbortSignal): Promise<PersistFacts>;
}

export interface PersistSourceOptions {
  store: ConfigStore;
  session: Pick<AcmeSession, 'use' | 'account'>;
  accountId: string;
}

export function createPersistSource({ store, session, accountId }: PersistSourceOptions): PersistSource {
  async function supposed(signal: AbortSignal): Promise<PersistFacts> {
    const { url } = await session.account(signal);
    const { caaIdentities } = await session.use(signal, (client) => client.directory(signal));
    return { issuerDomains: caaIdentities.map((name) => name.toLowerCase()), accountUri: url };
  }

  async function keep(
    { id, value, revision }: StoredRecord<'account'>,
    persist: PersistFacts | undefined,
  ): Promise<void> {
    const { persist: _before, ...rest } = value;
    await commitUnlessChanged(store, {
      by: { kind: 'system' },
      cause: revision,
      checks: [{ kind: 'account', id, revision }],
      changes: [
        { op: 'put', kind: 'account', id, value: persist === undefined ? rest : { ...rest, persist } },
      ],
    });
  }

  return {
    async before(signal) {
      return (await store.get('account', accountId))?.value.persist ?? supposed(signal);
    },
    async of({ issuerDomainNames, accountUri }, signal) {
      if (issuerDomainNames.length === 0)
        throw new IssuerFailure('the CA’s dns-persist-01 challenge names no issuer domain, or too many', {
          kind: 'refused',
        });
      const by = await supposed(signal);
      // draft-ietf-acme-dns-persist has servers name the account; of one that does not, its URL is the account's name (RFC 8657, section 3).
      const facts = { issuerDomains: issuerDomainNames, accountUri: accountUri ?? by.accountUri };
      const wanted = isDeepStrictEqual(facts, by) ? undefined : facts;
      const account = await store.get('account', accountId);
      if (account !== null && !isDeepStrictEqual(account.value.persist, wanted)) await keep(account, wanted);
      return facts;
    },
  };
}
