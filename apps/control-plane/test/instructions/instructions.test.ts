import type { DnsRequirement } from '@lockstep/contract';
import { createSealers, generateSecretKey } from '@lockstep/pki';
import { createSqliteStore } from '@lockstep/store';
import { startDnsServer, testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { asHtml } from '../../src/instructions/as-html.ts';
import { asText } from '../../src/instructions/as-text.ts';
import { relativeName } from '../../src/instructions/relative-name.ts';
import { startControlPlane } from '../start-control-plane.ts';

const upstreams = [{ url: 'http://127.0.0.1:3000' }];
const dns = await startDnsServer({
  zones: [
    { name: 'fleet.test', records: ['edge A 192.0.2.1', 'edge AAAA 2001:db8::1'] },
    {
      name: 'harbour.test',
      records: [
        '@ NS ada.ns.cloudflare.com.',
        '@ NS bob.ns.cloudflare.com.',
        '@ A 104.16.1.1',
        'www A 203.0.113.7',
        'right CNAME edge.fleet.test.',
        'long CNAME right',
        'six AAAA 2001:db8:bad::1',
        'six A 192.0.2.1',
      ],
    },
    { name: 'aws.test', records: ['@ NS ns-1.awsdns-01.com.', '@ A 192.0.2.1', '@ CAA 0 issue "<b>&\'"'] },
    { name: 'xn--bcher-kva.test', records: ['www A 203.0.113.7'] },
    { name: 'broken.test', records: null },
  ],
});
t.teardown(() => dns.close());

const shared = {
  store: createSqliteStore({ path: ':memory:' }),
  sealers: createSealers(generateSecretKey()),
};
const controlPlane = await startControlPlane(t, testFolder(t), {}, shared);
const { call } = controlPlane;
const settings = { edgeAddresses: ['edge.fleet.test'], resolvers: [dns.address] };
t.equal((await call('PATCH', '/v1/settings', { body: settings })).status, 200);

/** A route of these hosts that has been looked at. */
async function looked(id: string, ...hosts: string[]): Promise<DnsRequirement[]> {
  t.match(await call('PUT', `/v1/routes/${id}`, { body: { hosts, upstreams } }), { status: 201 });
  await waitFor(
    async () => {
      const { body } = await call('POST', `/v1/routes/${id}/check`);
      return body.hosts.every(({ detail }: { detail: string }) => !/not checked/.test(detail));
    },
    { what: 'the settings to be in force' },
  );
  return requirements(id);
}
const requirements = async (id: string) =>
  (await call('GET', `/v1/routes/${id}`)).body.status.dnsRequirements as DnsRequirement[];
const read = async (id: string, query = '') =>
  (await call('GET', `/v1/routes/${id}/instructions${query}`)).text;

t.test('says which records to make, where, and under which names', async (t) => {
  await looked('www', 'www.harbour.test');
  t.equal(
    (await read('www')).replace(/\d{4}-\d\d-\d\d at \d\d:\d\d/, 'DATE'),
    `DNS records for www.harbour.test
================================

For us to serve this name, the DNS of the domain has to have the record below. This is how we saw the DNS on DATE UTC.

www.harbour.test
----------------

The DNS of harbour.test is kept by Cloudflare (name servers: ada.ns.cloudflare.com, bob.ns.cloudflare.com). That is where the records are made.
Help: https://developers.cloudflare.com/dns/manage-dns-records/how-to/create-dns-records/

www.harbour.test leads to 203.0.113.7, which is elsewhere. Put this record in its place.

[ ] to do
    Type:      CNAME
    Name:      www  (for www.harbour.test)
    Value:     edge.fleet.test
    What for:  leads visitors to us
    There now: 203.0.113.7 (remove it)

What happens then
-----------------

- Where a time to live (TTL) can be chosen, leave what is proposed, or take 300 seconds while you change things.
- A value that is a name is a whole name: where your panel adds your domain to it, end it with a dot.
- A change is seen everywhere once what was there before has left the caches: as a rule within minutes, at the latest after the TTL of the old record.
- We look again by ourselves, at first every few seconds and then ever more rarely, at least once an hour. You need not tell us.
- When all is right we get the certificate, and serve the site over https. Leave the records in place: each renewal rests on them.
`,
  );
});

t.test('reads well for each sort of host', async (t) => {
  for (const [id, host, ...texts] of [
    ['right', 'right.harbour.test', /^The record is right: there is nothing left to do/m, /\[x\] right/],
    [
      'long',
      'long.harbour.test',
      /^The record is right/m,
      /There now: right\.harbour\.test, which leads to us too/,
    ],
    [
      'apex',
      'harbour.test',
      /an address of Cloudflare's proxy/,
      /Name: {6}@ {2}\(stands for harbour\.test itself\)/,
      /There now: 104\.16\.1\.1 \(Cloudflare's proxy\)/,
    ],
    ['six', 'six.harbour.test', /Remove the AAAA record with 2001:db8:bad::1\./, /2001:db8:bad::1/],
    ['wild', '*.harbour.test', /Name: {6}\* {2}\(for \*\.harbour\.test\)/, /There now: nothing/],
    ['deep', 'a.b.harbour.test', /Name: {6}a\.b {2}\(for a\.b\.harbour\.test\)/],
    [
      'aws',
      'aws.test',
      /^All 2 records are right/m,
      /Record name: \(leave this empty: it stands for aws\.test itself\)/,
      /\[-\] not needed/,
    ],
    [
      'idn',
      'www.bücher.test',
      /DNS records for www\.bücher\.test \(www\.xn--bcher-kva\.test\)/,
      /Name: {6}www /,
    ],
    [
      'broken',
      'www.broken.test',
      /could not be checked: .*SERVFAIL/,
      /as a rule with whoever the domain was registered with/,
    ],
    [
      'missing',
      'www.nowhere.test',
      /www\.nowhere\.test has no address in the DNS yet\. Create this record\./,
    ],
  ] as const) {
    await looked(id, host);
    const text = await read(id);
    for (const wanted of texts) t.match(text, wanted, host);
    const page = await read(id, '?format=html');
    t.match(page, /^<!doctype html>\n<html lang="en">/);
    t.notMatch(page, /<script|javascript:| on[a-z]+=|<link|<img/i, 'nothing is loaded or run');
  }
});

t.test('shows what stands in the DNS of others as text, never as HTML', async (t) => {
  const page = await read('aws', '?format=html');
  t.notMatch(page, '<b>');
  const record = {
    type: 'TXT',
    name: '"><i>',
    wholeName: "<script>'",
    value: '<img src=x onerror=alert(1)>',
    purpose: 'ownership',
    state: 'open',
    found: ['</code><script>alert(1)</script>'],
    remove: [],
  } as const;
  const host = {
    host: '<u>host',
    zone: '<u>zone',
    keeper: { name: '<u>keeper', nameServers: [], help: 'https://example.com/"onclick="' },
    nameServers: ['<u>server'],
    seenAt: null,
    records: [{ ...record, found: [...record.found], remove: [] }],
    advice: ['<u>advice & "more"'],
    nothingAsked: null,
  };
  const hostile = asHtml({ hosts: [host], seenAt: null, right: 0, unseen: 0, records: 1 });
  t.notMatch(hostile, /<(?:script|img|u|i)[ >]/);
  t.notMatch(hostile, /"onclick/);
  t.match(hostile, '&lt;u&gt;advice &amp; &quot;more&quot;');
  t.match(
    asText({ hosts: [host], seenAt: null, right: 0, unseen: 0, records: 1 }),
    '<u>advice & "more"',
    'as text it is as it is',
  );
});

t.test('comes as text or as a page, by what the caller takes', async (t) => {
  const get = (accept: string, query = '') =>
    call('GET', `/v1/routes/www/instructions${query}`, { headers: { accept } });
  for (const [accept, type] of [
    ['*/*', 'text/plain'],
    ['text/*', 'text/plain'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'text/html'],
    ['text/plain;q=0.5, text/html', 'text/html'],
  ] as const) {
    const answer = await get(accept);
    t.equal(answer.status, 200);
    t.equal(answer.headers.get('content-type'), `${type}; charset=utf-8`, accept);
    t.match(answer.headers.get('vary'), /accept/i);
    t.equal(answer.headers.get('cache-control'), 'no-store');
  }
  t.match(await get('application/json'), {
    status: 406,
    body: { code: 'not_acceptable', detail: /text\/plain or text\/html, not as application\/json/ },
  });
  t.equal((await get('application/json', '?format=text')).status, 200);
  const page = await get('text/html');
  const policy = page.headers.get('content-security-policy') ?? '';
  t.match(
    policy,
    /^default-src 'none'; style-src 'sha256-[^']+'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
  );
  t.match(await get('*/*', '?format=pdf'), { status: 400, body: { errors: [{ pointer: 'format' }] } });
  t.equal((await call('GET', '/v1/routes/nobodys/instructions')).status, 404);
});

t.test('is for one host where that is asked, and for those of the route alone', async (t) => {
  await looked('two', 'one.harbour.test', 'two.harbour.test');
  const both = await read('two');
  t.match(both, /^DNS records for one\.harbour\.test and two\.harbour\.test$/m);
  t.equal(both.split('is kept by Cloudflare').length, 2, 'whose DNS it is, is said once');
  const one = await read('two', '?host=TWO.harbour.test');
  t.match(one, /^DNS records for two\.harbour\.test$/m);
  t.notMatch(one, 'one.harbour.test');
  t.match(await call('GET', '/v1/routes/two/instructions?host=www.harbour.test'), {
    status: 400,
    body: { errors: [{ pointer: 'host', detail: /is no host of this route/ }] },
  });
});

t.test('says of what nobody has looked at that it is not known, and what it has to be', async (t) => {
  t.match(
    await call('PUT', '/v1/routes/fresh', {
      body: { hosts: ['fresh.harbour.test', 'fresh.test'], upstreams },
    }),
    {
      status: 201,
      body: {
        status: {
          dnsRequirements: [
            {
              host: 'fresh.harbour.test',
              type: 'CNAME',
              value: 'edge.fleet.test',
              found: null,
              ok: false,
              hint: null,
            },
            { host: 'fresh.test', type: 'A', value: '192.0.2.1', found: null, ok: false, hint: null },
            { host: 'fresh.test', type: 'AAAA', value: '2001:db8::1', found: null, ok: false, hint: null },
          ],
        },
      },
    },
  );
  const text = await read('fresh', '?host=fresh.harbour.test');
  t.match(text, '[?] not looked at yet');
  t.match(text, 'We have not looked at this name yet.');
  t.notMatch(text, '[ ] to do');
});

t.test('the records of a host are the same when they are right, and at another control plane', async (t) => {
  const bare = (rows: DnsRequirement[]) =>
    rows.map(({ type, name, value, purpose }) => ({ type, name, value, purpose }));
  const wrong = await looked('soon', 'soon.harbour.test');
  t.match(wrong, [{ ok: false, found: [] }]);
  await dns.change('add soon.harbour.test. 60 CNAME edge.fleet.test.');
  await call('POST', '/v1/routes/soon/check');
  const right = await requirements('soon');
  t.match(right, [{ ok: true, found: ['edge.fleet.test'], hint: null }]);
  t.strictSame(bare(right), bare(wrong));
  await call('PATCH', '/v1/routes/soon', { body: { paths: ['/a'] } });
  t.strictSame(await requirements('soon'), right, 'a change of the route leaves them');
  const other = await startControlPlane(t, testFolder(t), {}, shared);
  const { body } = await other.call('GET', '/v1/routes/soon');
  t.strictSame(body.status.dnsRequirements, right);
});

t.test('a name is told as the panel of its zone wants it', async (t) => {
  t.equal(relativeName('shop.example', 'shop.example'), '');
  t.equal(relativeName('www.shop.example', 'shop.example'), 'www');
  t.equal(relativeName('*.a.shop.example', 'shop.example'), '*.a');
  t.equal(relativeName('myshop.example', 'shop.example'), null);
});

t.test('has what proves a domain beside what leads it here, a page of the site too', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const body = { ...settings, ownership: 'http' };
  t.equal((await call('PATCH', '/v1/settings', { body })).status, 200);
  t.match(
    await call('PUT', '/v1/routes/proof', {
      body: { hosts: ['right.harbour.test'], upstreams },
      headers: { prefer: 'wait=60' },
    }),
    { status: 202, body: { status: { state: 'waiting_for_ownership' } } },
  );
  const { text } = await call('GET', '/v1/routes/proof/instructions');
  t.match(
    text,
    /Name: {6}_lockstep\.right {2}\(for _lockstep\.right\.harbour\.test\)\n {4}Value: {5}lockstep-/,
  );
  t.match(
    text,
    /Type: {6}a page of the site, .*\n {4}Address: {3}http:\/\/right\.harbour\.test\/.*\n {4}Answers: {3}lockstep-/,
  );
  t.match(text, 'Where it leads we look at once it is shown to be yours');
});
