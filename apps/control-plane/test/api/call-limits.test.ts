import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { adminToken, startControlPlane } from '../start-control-plane.ts';

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

t.test('the calls of a token are counted, told, and refused beyond its limit', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const scopes = ['routes:read'];
  const make = async (more: object) =>
    (await call('POST', '/v1/tokens', { body: { scopes, ...more } })).body.token;
  const plain = await call('GET', '/v1/routes', bearer(await make({ name: 'plain' })));
  t.equal(plain.headers.get('ratelimit-policy'), '"token";q=6000;w=60');
  t.match(plain.headers.get('ratelimit'), /^"token";r=5999;t=(?:60|59)$/);
  const few = await make({ name: 'few', rateLimit: { requests: 3, perMs: 600_000 } });
  const other = await make({ name: 'other', rateLimit: { requests: 3, perMs: 600_000 } });
  const left = [];
  for (let count = 0; count < 3; count += 1) {
    const { status, headers } = await call('GET', '/v1/routes', bearer(few));
    t.equal(status, 200);
    left.push(/r=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]);
  }
  t.strictSame(left, ['2', '1', '0']);
  const over = await call('GET', '/v1/settings', bearer(few));
  t.match(over, { status: 429, body: { code: 'rate_limited', retryAfterSeconds: Number } });
  const retryAfter = Number(over.headers.get('retry-after'));
  t.ok(retryAfter > 0 && retryAfter <= 600);
  t.match(over.headers.get('ratelimit'), /^"token";r=0;t=\d+$/);
  t.equal((await call('GET', '/v1/routes', bearer(other))).status, 200, 'each token has its own');
  const admin = await call('GET', '/v1/routes');
  t.equal(admin.headers.get('ratelimit'), null);
});

t.test(
  'an address with many wrong tokens has none looked at for a while, but those it got through with',
  async (t) => {
    const { call } = await startControlPlane(t, testFolder(t));
    const body = { name: 'late', scopes: ['routes:read'] };
    const { token: late } = (await call('POST', '/v1/tokens', { body })).body;
    const { token: known } = (await call('POST', '/v1/tokens', { body })).body;
    t.equal((await call('GET', '/v1/routes', bearer(known))).status, 200);
    for (let count = 0; count < 60; count += 1)
      t.equal((await call('GET', '/v1/routes', bearer(`wrong-${count}`))).status, 401);
    const refused = await call('GET', '/v1/routes', bearer(late));
    t.match(
      refused,
      { status: 429, body: { code: 'rate_limited' } },
      'a right one too: nobody learns which is',
    );
    t.ok(Number(refused.headers.get('retry-after')) > 0);
    t.equal((await call('GET', '/v1/routes', bearer('wrong-61'))).status, 429);
    for (const token of [known, adminToken])
      t.equal((await call('GET', '/v1/routes', bearer(token))).status, 200);
    t.equal((await call('GET', '/healthz', { headers: { authorization: '' } })).status, 200);
  },
);
