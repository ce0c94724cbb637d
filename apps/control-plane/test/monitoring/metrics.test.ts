import { refused, startFaultyFront, startPebble, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { answerChallenges } from '../answer-challenges.ts';
import { startControlPlane } from '../start-control-plane.ts';

t.test(
  'tells what issuers were asked, what came of it, and how many orders wait in each queue',
  async (t) => {
    const { call, store, url, acknowledge } = await startControlPlane(t, testFolder(t));
    acknowledge('edge-1');
    const pebble = await startPebble({ httpPort: await answerChallenges(t, () => store) });
    t.teardown(() => pebble.close());
    const { directory, rootPem: roots, faults, close } = await startFaultyFront({ pebble });
    t.teardown(close);
    await call('PUT', '/v1/issuers/pebble', { body: { directory, roots } });
    const put = (name: string) => {
      const body = {
        hosts: [`${name}.example.com`],
        upstreams: [{ url: 'http://127.0.0.1:3000' }],
        issuers: ['pebble'],
      };
      return call('PUT', `/v1/routes/${name}`, { body, headers: { prefer: 'wait=30' } });
    };
    t.match((await put('good')).body.status, { state: 'live' });
    faults.add('newOrder', refused('rejectedIdentifier'));
    t.match((await put('bad')).body.status, { state: 'failed' });

    const text = await (await fetch(`${url}/metrics`)).text();
    const value = (line: string) =>
      Number(
        text
          .split('\n')
          .find((one) => one.startsWith(`${line} `))
          ?.split(' ')[1],
      );
    t.equal(value('lockstep_attempts_total{issuer="pebble",outcome="issued"}'), 1);
    t.equal(value('lockstep_attempts_total{issuer="pebble",outcome="refused"}'), 1);
    t.ok(value('lockstep_ca_requests_total{issuer="pebble",status="200"}') > 0);
    t.equal(value('lockstep_ca_requests_total{issuer="pebble",status="403"}'), 1);
    t.equal(value('lockstep_orders{queue="retry"}'), 1);
    t.equal(value('lockstep_orders{queue="upkeep"}'), 1);
    t.equal(value('lockstep_orders_due{queue="retry"}'), 0);
  },
);

t.test('tells what it knows without the store while the store does not answer', async (t) => {
  const { url, store, report } = await startControlPlane(t, testFolder(t));
  await report('edge-1');
  const scrape = async () => {
    const response = await fetch(`${url}/metrics`);
    return { status: response.status, text: await response.text() };
  };
  t.match(await scrape(), { status: 200, text: /^lockstep_records\{kind="route"\} 0$/m });
  await store.close();
  const { status, text } = await scrape();
  t.equal(status, 200);
  t.match(text, /^lockstep_store_reachable 0$/m);
  t.match(text, /^lockstep_nodes\{state="live"\} 1$/m);
  t.match(text, /^process_cpu_user_seconds_total /m);
  t.notMatch(text, /^lockstep_(records|store_revision|orders)\b/m, 'and makes up nothing of the store');
});
