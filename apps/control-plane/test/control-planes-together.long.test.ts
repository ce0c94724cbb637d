import { createSealer, createSealers, generateSecretKey } from '@lockstep/pki';
import { type ConfigStore, createRedisStore } from '@lockstep/store';
import { startPebble, startRedis, testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { createAcmeSession } from '../src/issuers/acme/acme-session.ts';
import { answerChallenges } from './answer-challenges.ts';
import { startControlPlane } from './start-control-plane.ts';

const rounds = 5;
const hosts = Array.from({ length: 6 }, (_, index) => `shop-${index}.example.com`);

const redis = await startRedis();
t.teardown(() => redis.close());
let answering: ConfigStore;
const pebble = await startPebble({ httpPort: await answerChallenges(t, () => answering) });
t.teardown(() => pebble.close());

for (let round = 1; round <= rounds; round += 1) {
  t.test(`two that start together on an empty store share one CA and one account (${round})`, async (t) => {
    const sealers = createSealers(generateSecretKey());
    const start = (name: string) => {
      const store = createRedisStore({ url: redis.url, prefix: `round-${round}` });
      return startControlPlane(t, `${t.testdirName}/${name}`, {}, { store, sealers });
    };
    testFolder(t);
    const [one, two] = await Promise.all([start('one'), start('two')]);
    answering = one.store;
    t.match(one.rootCertificate, /BEGIN CERTIFICATE/);
    t.equal(two.rootCertificate, one.rootCertificate);
    t.equal((await two.call('GET', '/v1/ca/root.crt')).text, one.rootCertificate);

    await one.call('PUT', '/v1/issuers/pebble', {
      body: { directory: pebble.directory, roots: pebble.rootPem },
    });
    await Promise.all(
      hosts.map((host, index) => {
        const body = { hosts: [host], upstreams: [{ url: 'http://127.0.0.1:3000' }], issuers: ['pebble'] };
        return (index % 2 === 0 ? one : two).call('PUT', `/v1/routes/${host}`, { body });
      }),
    );
    // From now on there is an edge: both take up what is due, and need the account, in the same moment.
    one.acknowledge('edge-1');
    await waitFor(
      async () => {
        const { items } = (await two.call('GET', '/v1/routes')).body;
        return items.every(({ status }: { status: { state: string } }) => status.state === 'live');
      },
      { what: 'every route to be live' },
    );
    t.equal(pebble.accountCount(), round, 'one account a round');
    t.equal(pebble.orderCount(), round * hosts.length);
    const urls = await Promise.all(
      [one, two].map(async ({ call }) => (await call('GET', '/v1/issuers/pebble')).body.accountUrl),
    );
    t.match(urls[0], /^https:/);
    t.equal(urls[0], urls[1]);
  });
}

t.test('those that need the account in the same moment make one, under one key', async (t) => {
  const before = pebble.accountCount();
  for (let round = 1; round <= rounds; round += 1) {
    const sealer = createSealer(generateSecretKey());
    const stores = [1, 2].map(() => createRedisStore({ url: redis.url, prefix: `account-${round}` }));
    for (const store of stores) await store.open({ create: true, expectedEpoch: null });
    const sessions = stores.map((store) =>
      createAcmeSession({
        store,
        sealer,
        accountId: 'pebble',
        directory: pebble.directory,
        email: null,
        rootsPem: pebble.rootPem,
        eab: null,
        userAgent: 'lockstep-test',
      }),
    );
    const signal = AbortSignal.timeout(10_000);
    const accounts = await Promise.all([...sessions, ...sessions].map((session) => session.account(signal)));
    t.equal(new Set(accounts.map(({ url, keyPem }) => url + keyPem)).size, 1);
    for (const session of sessions) session.close();
    await Promise.all(stores.map((store) => store.close()));
  }
  t.equal(pebble.accountCount() - before, rounds);
});
