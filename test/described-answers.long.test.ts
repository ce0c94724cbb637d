import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';
import { startChild, startPrism, startUpstream, testFolder, waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { guidePrograms } from './fleet/guide-programs.ts';
import { type DescribedOperations, startRecordingFront } from './fleet/recording-front.ts';
import { startPebbleFleet } from './fleet/start-pebble-fleet.ts';

/** Need an edge that holds a snapshot back, which a fleet that is well never does; another key, which is one restart after another. */
const neverTaken = new Set(['confirmSnapshot', 'rotateKeys']);
/** Nothing that is described can be wrong with a request for these. */
const neverRefused = new Set(['getHealth', 'getReadiness', 'getMetrics']);

/** Asked for with a request that is not as the document says: only the answer is held against it. */
const asIs = 'x-sent-as-is';

t.test(
  'whatever an end-to-end run asks and is answered, Prism finds as openapi.yaml describes it',
  async (t) => {
    const folder = testFolder(t);
    const { fleet, upstream } = await startPebbleFleet(t, { dir: folder });
    const described = await fetch(`${fleet.url}/openapi.json`);
    const document = (await described.json()) as DescribedOperations;
    const file = join(folder, 'openapi.json');
    writeFileSync(file, JSON.stringify(document));
    const prisms = await Promise.all(
      [true, false].map((validateRequests) =>
        startPrism({ document: file, upstream: fleet.url, validateRequests }),
      ),
    );
    for (const prism of prisms) t.teardown(() => prism.close());
    const [strict, lenient] = prisms.map(({ url }) => url) as [string, string];
    const front = await startRecordingFront(t, {
      document,
      to({ method = '', headers }) {
        // Prism takes an answer as a whole, and knows no methods but those described.
        const passesBy = ['HEAD', 'OPTIONS'].includes(method) || headers.accept === 'text/event-stream';
        if (passesBy) return fleet.url;
        return headers[asIs] === undefined ? strict : lenient;
      },
    });
    const token = fleet.env.LOCKSTEP_ADMIN_TOKEN;
    const upstreams = [{ url: upstream.url }];

    async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
      const response = await fetch(front.url + path, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = /[/+]json/.test(response.headers.get('content-type') ?? '');
      return {
        status: response.status,
        headers: response.headers,
        text,
        body: isJson ? JSON.parse(text) : null,
      };
    }
    async function expect(t: Test, status: number, ...[method, path, ...rest]: Parameters<typeof call>) {
      const answer = await call(method, path, ...rest);
      t.equal(answer.status, status, `${method} ${path}`, { answer: answer.text.slice(0, 1_000) });
      return answer;
    }
    const keyed = () => ({ 'idempotency-key': crypto.randomUUID() });

    await t.test('a route, from what it needs to its end', async (t) => {
      await expect(t, 200, 'GET', '/v1/dns-requirements?host=shop.example.com');
      const shop = {
        id: 'shop',
        hosts: ['shop.example.com'],
        upstreams,
        tenant: 'acme',
        metadata: { a: 'b' },
      };
      await expect(t, 200, 'POST', '/v1/routes/validate', shop);
      const key = keyed();
      const made = await expect(t, 201, 'POST', '/v1/routes', shop, { ...key, prefer: 'wait=60' });
      t.equal(made.body?.status.state, 'live');
      await expect(t, 201, 'POST', '/v1/routes', shop, { ...key, prefer: 'wait=60' });
      await expect(t, 422, 'POST', '/v1/routes', { ...shop, tenant: 'other' }, key);
      await expect(t, 409, 'POST', '/v1/routes', { ...shop, id: 'other' });
      await expect(t, 409, 'POST', '/v1/routes/validate', { ...shop, id: 'other' });
      await expect(t, 200, 'GET', '/v1/routes?host=shop.example.com&total=true&sort=-createdAt');
      await expect(t, 200, 'GET', '/v1/routes?fields=id,hosts');
      const read = await expect(t, 200, 'GET', '/v1/routes/shop');
      const etag = read.headers.get('etag') ?? '';
      await expect(t, 304, 'GET', '/v1/routes/shop', undefined, { 'if-none-match': etag });
      await expect(t, 412, 'GET', '/v1/routes/shop', undefined, { 'if-match': '"0"' });
      await expect(t, 200, 'PUT', '/v1/routes/shop', read.body, { 'if-match': etag });
      await expect(t, 412, 'PUT', '/v1/routes/shop', shop, { 'if-match': '"0"' });
      const patched = await expect(
        t,
        200,
        'PATCH',
        '/v1/routes/shop',
        { metadata: { a: null } },
        { prefer: 'wait=60' },
      );
      t.same(patched.body?.metadata ?? {}, {});
      await expect(t, 412, 'PATCH', '/v1/routes/shop', { paths: ['/api'] }, { 'if-match': '"0"' });
      await expect(t, 200, 'PUT', '/v1/routes/shop/hosts/more.example.com', undefined, { prefer: 'wait=60' });
      await expect(t, 404, 'PUT', '/v1/routes/nobody/hosts/more.example.com');
      await expect(t, 204, 'DELETE', '/v1/routes/shop/hosts/more.example.com');
      await expect(t, 404, 'DELETE', '/v1/routes/shop/hosts/nobody.example.com');
      await expect(t, 200, 'POST', '/v1/routes/shop/check', undefined, keyed());
      await expect(t, 404, 'POST', '/v1/routes/nobody/check');
      await expect(t, 200, 'GET', '/v1/routes/shop/traffic');
      await expect(t, 404, 'GET', '/v1/routes/nobody/traffic');
      for (const accept of ['text/plain', 'text/html'])
        await expect(t, 200, 'GET', '/v1/routes/shop/instructions', undefined, { accept });
      await expect(t, 404, 'GET', '/v1/routes/nobody/instructions');
      await expect(t, 404, 'GET', '/v1/routes/nobody');
      await expect(t, 404, 'DELETE', '/v1/routes/nobody');
      await expect(t, 204, 'DELETE', '/v1/routes/nobody?missing=ok');
      t.match(
        await fetch(`${front.url}/v1/routes/shop`, {
          method: 'OPTIONS',
          headers: { authorization: `Bearer ${token}` },
        }),
        { status: 204 },
      );
    });

    await t.test('its certificate, and one that is brought', async (t) => {
      await expect(t, 200, 'GET', '/v1/certificates?tenant=acme');
      await expect(t, 200, 'GET', '/v1/certificates?failing=true');
      await expect(t, 200, 'GET', '/v1/certificates/shop.example.com');
      await expect(t, 404, 'GET', '/v1/certificates/nobody.example.com');
      await expect(t, 200, 'GET', '/v1/certificates/shop.example.com/attempts');
      await expect(t, 404, 'GET', '/v1/certificates/nobody.example.com/attempts');
      await expect(t, 202, 'POST', '/v1/certificates/shop.example.com/renew', undefined, keyed());
      await expect(t, 404, 'POST', '/v1/certificates/nobody.example.com/renew');
      await waitFor(
        async () => (await call('GET', '/v1/certificates/shop.example.com')).body?.renewal === null,
        { what: 'the renewal' },
      );
      await expect(t, 202, 'POST', '/v1/certificates/shop.example.com/revoke', { reason: 'superseded' });
      await expect(t, 404, 'POST', '/v1/certificates/nobody.example.com/revoke');
      await expect(t, 409, 'DELETE', '/v1/certificates/shop.example.com');
      const key = await generateKeyPem();
      const lifetimeMs = 90 * 86_400_000;
      const authority = await createAuthority();
      const host = 'brought.example.com';
      const chain = await issueCertificate({ authority, host, keyPem: key, lifetimeMs, now: Date.now() });
      const brought = await expect(
        t,
        201,
        'POST',
        '/v1/certificates',
        { chain, key, tenant: 'acme' },
        keyed(),
      );
      await expect(t, 409, 'POST', `/v1/certificates/${brought.body?.id}/renew`);
      await expect(t, 400, 'POST', '/v1/certificates', { chain, key: await generateKeyPem() });
      const own = `/v1/certificates/${brought.body?.id}`;
      await expect(t, 200, 'PATCH', own, { metadata: { plan: 'pro' } });
      const { body: shown } = await expect(t, 200, 'GET', own);
      await expect(t, 200, 'PUT', own, shown);
      for (const method of ['PUT', 'PATCH'])
        await expect(t, 409, method, '/v1/certificates/shop.example.com', { metadata: { plan: 'pro' } });
      await expect(t, 204, 'DELETE', own);
      await expect(t, 404, 'DELETE', own);
    });

    await t.test('issuers, settings, tokens', async (t) => {
      await expect(t, 200, 'GET', '/v1/issuers');
      await expect(t, 200, 'GET', '/v1/issuers/acme');
      await expect(t, 404, 'GET', '/v1/issuers/nobody');
      await expect(t, 200, 'GET', '/v1/issuers/acme/limits');
      await expect(t, 404, 'GET', '/v1/issuers/nobody/limits');
      await expect(t, 202, 'POST', '/v1/issuers/acme/retry', undefined, keyed());
      await expect(t, 404, 'POST', '/v1/issuers/nobody/retry');
      const ca = { type: 'acme', directory: 'https://127.0.0.1:9/directory' };
      await expect(t, 201, 'PUT', '/v1/issuers/second', ca, { 'if-none-match': '*' });
      await expect(t, 412, 'PUT', '/v1/issuers/second', ca, { 'if-none-match': '*' });
      await expect(t, 204, 'DELETE', '/v1/issuers/second');
      await expect(t, 404, 'DELETE', '/v1/issuers/second');
      const { body: settings } = await expect(t, 200, 'GET', '/v1/settings');
      await expect(t, 200, 'PUT', '/v1/settings', settings);
      await expect(t, 200, 'PATCH', '/v1/settings', { webhookTargets: 'any' });
      await expect(t, 412, 'GET', '/v1/settings', undefined, { 'if-match': '"9999999"' });
      await expect(t, 412, 'PUT', '/v1/settings', settings, { 'if-match': '"9999999"' });
      await expect(t, 412, 'PATCH', '/v1/settings', {}, { 'if-match': '"9999999"' });
      const made = await expect(
        t,
        201,
        'POST',
        '/v1/tokens',
        { name: 'reader', scopes: ['routes:read'] },
        keyed(),
      );
      const reader = { authorization: `Bearer ${made.body?.token}` };
      await expect(t, 200, 'GET', '/v1/routes', undefined, reader);
      await expect(t, 403, 'POST', '/v1/tokens', { name: 'other', scopes: ['admin'] }, reader);
      // Each list refuses whoever lacks its scope.
      for (const path of [
        'certificates',
        'issuers',
        'settings',
        'fleet',
        'nodes',
        'tokens',
        'audit',
        'webhooks',
      ])
        await expect(t, 403, 'GET', `/v1/${path}`, undefined, reader);
      await expect(t, 403, 'POST', '/v1/keys/rotate', undefined, reader);
      await expect(t, 403, 'POST', '/v1/webhooks', { url: 'https://app.example.com/' }, reader);
      const unknown = { authorization: 'Bearer nobody' };
      for (const path of ['routes', 'dns-requirements?host=a.example.com', 'ca/root.crt'])
        await expect(t, 401, 'GET', `/v1/${path}`, undefined, unknown);
      await expect(t, 200, 'GET', '/v1/tokens');
      await expect(t, 200, 'GET', `/v1/tokens/${made.body?.id}`);
      await expect(t, 404, 'GET', '/v1/tokens/nobody');
      await expect(t, 204, 'DELETE', `/v1/tokens/${made.body?.id}`);
      await expect(t, 404, 'DELETE', `/v1/tokens/${made.body?.id}`);
    });

    await t.test('the fleet', async (t) => {
      for (const path of ['/healthz', '/readyz', '/metrics', '/v1/fleet', '/v1/nodes', '/v1/nodes/edge-1'])
        await expect(t, 200, 'GET', path);
      await expect(t, 404, 'GET', '/v1/nodes/nobody');
      await expect(t, 200, 'GET', '/v1/nodes/edge-1/upstreams');
      await expect(t, 404, 'GET', '/v1/nodes/nobody/upstreams');
      for (const action of ['drain', 'undrain']) {
        await expect(t, 202, 'POST', `/v1/nodes/edge-1/${action}`, undefined, keyed());
        await expect(t, 404, 'POST', `/v1/nodes/nobody/${action}`);
      }
      await expect(t, 409, 'POST', '/v1/nodes/edge-1/confirm-snapshot');
      await expect(t, 409, 'DELETE', '/v1/nodes/edge-1');
      await expect(t, 204, 'DELETE', '/v1/nodes/nobody?missing=ok');
      const inside = { hosts: ['inside.example.com'], upstreams, issuers: ['internal'] };
      await expect(t, 201, 'PUT', '/v1/routes/inside', inside, { prefer: 'wait=60' });
      await expect(t, 200, 'GET', '/v1/ca/root.crt');
      await expect(t, 200, 'GET', '/v1/audit?kind=route&limit=10');
      await expect(t, 409, 'POST', '/v1/keys/rotate', undefined, keyed());
    });

    await t.test('many at once', async (t) => {
      const ndjson = { 'content-type': 'application/x-ndjson' };
      const line = { id: 'many', hosts: ['many.example.com'], upstreams };
      await expect(t, 200, 'POST', '/v1/routes/bulk?dry-run=true', JSON.stringify(line), ndjson);
      await expect(t, 200, 'POST', '/v1/routes/bulk', JSON.stringify(line), ndjson);
      await expect(t, 200, 'POST', '/v1/routes/bulk-delete', '{"id":"many"}', ndjson);
      for (const address of ['bulk', 'bulk-delete'])
        await expect(t, 415, 'POST', `/v1/routes/${address}`, line, { [asIs]: 'yes' });
    });

    await t.test('events and webhooks', async (t) => {
      await expect(t, 200, 'GET', '/v1/events?since=beginning&limit=10', undefined, {
        accept: 'application/json',
      });
      const target = await startUpstream((_, response) => response.end());
      t.teardown(() => target.close());
      const made = await expect(
        t,
        201,
        'POST',
        '/v1/webhooks',
        { url: target.url, types: ['route.*'] },
        keyed(),
      );
      const webhook = `/v1/webhooks/${made.body?.id}`;
      const nobody = '/v1/webhooks/wh_00000000000000000000';
      await expect(t, 200, 'GET', '/v1/webhooks');
      await expect(t, 200, 'GET', webhook);
      await expect(t, 404, 'GET', nobody);
      const { body: shown } = await call('GET', webhook);
      await expect(t, 200, 'PUT', webhook, shown);
      await expect(t, 404, 'PUT', nobody, shown);
      await expect(t, 200, 'PATCH', webhook, { description: 'of the shop' });
      await expect(t, 404, 'PATCH', nobody, { description: 'of the shop' });
      await expect(t, 200, 'POST', `${webhook}/test`, undefined, keyed());
      await expect(t, 404, 'POST', `${nobody}/test`);
      await expect(t, 200, 'POST', `${webhook}/rotate-secret`, undefined, keyed());
      await expect(t, 404, 'POST', `${nobody}/rotate-secret`);
      await expect(t, 200, 'GET', `${webhook}/deliveries`);
      await expect(t, 404, 'GET', `${nobody}/deliveries`);
      const { body: events } = await call(
        'GET',
        '/v1/events?since=beginning&type=route.live&limit=1',
        undefined,
        {
          accept: 'application/json',
        },
      );
      const redelivery = { event: events?.items[0]?.id };
      await expect(t, 200, 'POST', `${webhook}/redeliver`, redelivery, keyed());
      await expect(t, 404, 'POST', `${nobody}/redeliver`, redelivery);
      await expect(t, 204, 'DELETE', webhook);
      await expect(t, 404, 'DELETE', webhook);
    });

    await t.test('requests that are not as the document says', async (t) => {
      const refused = { [asIs]: 'yes' };
      await expect(t, 400, 'POST', '/v1/routes', { hosts: [] }, refused);
      await expect(t, 400, 'PUT', '/v1/routes/shop', { hosts: 1 }, refused);
      await expect(t, 400, 'PATCH', '/v1/settings', { nothing: 1 }, refused);
      await expect(t, 400, 'GET', '/v1/routes?limit=0', undefined, refused);
      await expect(t, 400, 'GET', '/v1/events?since=nowhere', undefined, {
        accept: 'application/json',
        ...refused,
      });
      await expect(t, 415, 'POST', '/v1/routes', 'a', { 'content-type': 'text/plain', ...refused });
    });

    for (const { name, code, file, command, told, skip } of guidePrograms) {
      await t.test(`the program of the guide in ${name}`, { skip }, async (t) => {
        const path = join(folder, file);
        writeFileSync(path, code);
        const [executable, ...args] = command;
        const { PATH = '', HOME = folder } = process.env;
        const child = startChild({
          command: executable,
          args: [...args, path],
          env: { PATH, HOME, LOCKSTEP_API: front.url, LOCKSTEP_TOKEN: token },
          onlyThese: true,
          cwd: fileURLToPath(new URL('..', import.meta.url)),
        });
        t.teardown(() => child.signal('SIGKILL'));
        t.match(await child.closed, { code: 0 }, child.output());
        t.match(child.output(), told);
      });
    }
    await t.test('its end', async (t) => {
      await expect(t, 204, 'DELETE', '/v1/routes/shop');
    });

    t.same(front.violations, []);
    for (const [id, statuses] of front.seen) {
      const all = [...statuses];
      if (!neverTaken.has(id))
        t.ok(
          all.some((status) => status < 400),
          `${id} is taken`,
          { all },
        );
      if (!neverRefused.has(id))
        t.ok(
          all.some((status) => status >= 400),
          `${id} is refused`,
          { all },
        );
    }
  },
);
