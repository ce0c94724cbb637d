import { PassThrough } from 'node:stream';
import { AcmeProblem } from '@lockstep/pki';
import { type AcmeFault, startFaultyFront, startPebble, testFolder, waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { explainProblem } from '../../src/issuers/acme/explain-problem.ts';
import { answerChallenges } from '../answer-challenges.ts';
import { startControlPlane } from '../start-control-plane.ts';

const host = 'shop.example.com';
const portal = 'https://portal.letsencrypt.org/sfe/v1/unpause';
const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJpZGVudGlmaWVycyI6InNob3AifQ.c2lnbmF0dXJl';
/** In the words of Boulder. */
const paused: AcmeFault = {
  fault: 'answer',
  status: 429,
  type: 'rateLimited',
  detail: `Your account is temporarily prevented from requesting certificates for ${host} and possibly others. Please visit: ${portal}?jwt=${jwt}`,
};
const wait = { prefer: 'wait=30' };

t.test('a name that a CA has paused is left alone there until somebody has visited its link', async (t) => {
  const written: string[] = [];
  const out = new PassThrough().on('data', (chunk) => written.push(String(chunk)));
  const { call, store, acknowledge } = await startControlPlane(
    t,
    testFolder(t),
    {},
    { log: pino({ level: 'trace' }, out) },
  );
  acknowledge('edge-1');
  const pebble = await startPebble({ httpPort: await answerChallenges(t, () => store) });
  t.teardown(() => pebble.close());
  const { directory, rootPem, faults, counts, close } = await startFaultyFront({ pebble });
  t.teardown(close);
  await call('PUT', '/v1/issuers/pebble', { body: { directory, roots: rootPem } });
  const unpause = faults.add('newOrder', paused);
  const put = (issuers: string[]) => {
    const body = { hosts: [host], tenant: 'acme', upstreams: [{ url: 'http://127.0.0.1:3000' }], issuers };
    return call('PUT', '/v1/routes/shop', { body, headers: wait });
  };
  const attempts = async (headers = {}) =>
    (await call('GET', `/v1/certificates/${host}/attempts`, { headers })).body.items;

  const { status, body } = await put(['pebble']);
  t.match({ status, state: body.status.state }, { status: 202, state: 'failed' });
  t.match(body.status.reason, `has paused this name for the account`);
  t.match(body.status.reason, `${portal} (the whole link is with the attempts`);
  const [certificate] = body.status.certificates;
  t.match(certificate.lastError.type, ':rateLimited');
  const hours = (Date.parse(certificate.nextAttemptAt) - Date.now()) / 3_600_000;
  t.ok(hours > 21 && hours < 27, 'tomorrow');
  t.equal((await call('GET', '/v1/issuers/pebble/limits')).body.retryAt, null, 'no other host waits');
  t.match(await attempts(), [{ issuer: 'pebble', outcome: 'failed', link: `${portal}?jwt=${jwt}` }]);

  await t.test(
    'the link is for those whose account it acts for, and is logged and sent nowhere',
    async (t) => {
      const { token } = (
        await call('POST', '/v1/tokens', {
          body: { name: 'of a tenant', tenant: 'acme', scopes: ['certificates:read'] },
        })
      ).body;
      const [shown] = await attempts({ authorization: `Bearer ${token}` });
      t.match(shown, { issuer: 'pebble', problem: { detail: portal } });
      t.notMatch(JSON.stringify(shown), jwt);
      const events = await waitFor(
        async () => {
          const { items } = (await call('GET', '/v1/events?limit=100')).body ?? {};
          return items?.some(({ type }: { type: string }) => type === 'certificate.failed') && items;
        },
        { what: 'the event' },
      );
      t.notMatch(JSON.stringify(events), jwt);
      t.notMatch(JSON.stringify((await call('GET', '/v1/audit')).body), jwt);
      t.match(written.join(''), 'an attempt failed');
      t.notMatch(written.join(''), jwt);
    },
  );

  await t.test('the next issuer of the chain is tried at once', async (t) => {
    const { body } = await put(['pebble', 'internal']);
    t.match(body.status, { state: 'live' });
    t.match(await attempts(), [{ issuer: 'internal' }, { issuer: 'pebble', link: String }, {}]);
  });

  await t.test('POST /v1/issuers/{name}/retry asks the CA at once, however long the wait', async (t) => {
    const other = { hosts: ['other.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
    const { body } = await call('PUT', '/v1/routes/other', {
      body: { ...other, issuers: ['pebble'] },
      headers: wait,
    });
    t.equal(body.status.state, 'failed');
    const asked = counts.newOrder;
    unpause();
    t.match(await call('POST', '/v1/issuers/pebble/retry'), { status: 202, body: { certificates: 1 } });
    await waitFor(
      async () =>
        (await call('GET', '/v1/routes/other')).body.status.state === 'live' && counts.newOrder > asked,
      { what: 'the certificate' },
    );
  });
});

t.test('a link in whatever words of a CA is told without what may be a token', async (t) => {
  const detail = `See ${portal}?jwt=${jwt}. Or (https://ca.test/help#${jwt}), or https://ca.test/limits.`;
  const { message, problem, link } = explainProblem(
    new AcmeProblem({
      status: 429,
      type: 'urn:ietf:params:acme:error:rateLimited',
      detail,
      subproblems: [{ type: 'x', detail: `${portal}?jwt=${jwt}`, identifier: null }],
    }),
  );
  t.match(message, `See ${portal}. Or (https://ca.test/help), or https://ca.test/limits.`);
  t.notMatch(JSON.stringify([message, problem]), jwt);
  t.equal(link, null);
});
