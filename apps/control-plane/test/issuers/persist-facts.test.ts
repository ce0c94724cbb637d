import type { AcmeChallenge, AcmeClient } from '@lockstep/pki';
import { createSqliteStore } from '@lockstep/store';
import t from 'tap';
import type { AcmeSession } from '../../src/issuers/acme/acme-session.ts';
import { createPersistSource } from '../../src/issuers/acme/persist-facts.ts';

const { signal } = new AbortController();
const url = 'https://ca.example/acct/1';

t.test('whom a record has to name is what the CA’s last challenge said, word for word', async (t) => {
  const store = createSqliteStore({ path: ':memory:' });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  const value = { directory: 'https://ca.example/dir', accountUrl: url, sealedKey: 'sealed' };
  await store.commit({ id: 'account', changes: [{ op: 'put', kind: 'account', id: 'ca-1', value }] });
  const client = { directory: async () => ({ caaIdentities: ['CA.example'] }) } as unknown as AcmeClient;
  const session: Pick<AcmeSession, 'use' | 'account'> = {
    use: (_signal, work) => work(client),
    account: async () => ({ id: 'ca-1', keyPem: '', url }),
  };
  const source = createPersistSource({ store, session, accountId: 'ca-1' });
  const challenge = (issuerDomainNames: string[], accountUri: string | null) =>
    ({ issuerDomainNames, accountUri }) as AcmeChallenge;
  const kept = async () => (await store.get('account', 'ca-1'))?.value.persist;

  const supposed = { issuerDomains: ['ca.example'], accountUri: url };
  t.strictSame(await source.before(signal), supposed, 'before there was one, what the CA says elsewhere');
  t.strictSame(await source.of(challenge(['ca.example'], null), signal), supposed);
  t.equal(await kept(), undefined);

  const said = {
    issuerDomains: ['issue.ca.example', 'ca.example'],
    accountUri: 'https://ca.example/unique/1',
  };
  t.strictSame(await source.of(challenge(said.issuerDomains, said.accountUri), signal), said);
  t.strictSame(await kept(), said);
  t.strictSame(await source.before(signal), said);
  t.strictSame(await source.of(challenge(['ca.example'], url), signal), supposed, 'it says so no more');
  t.equal(await kept(), undefined);
  await t.rejects(source.of(challenge([], url), signal), /names no issuer domain, or too many/);
});
