import { startDnsServer } from '@lockstep/testkit';
import t from 'tap';
import { type CaaQuestion, checkCaa } from '../../src/dns/caa.ts';
import { parseIssueValue } from '../../src/dns/caa-value.ts';
import { createDnsLookup } from '../../src/dns/dns-lookup.ts';

const account = 'https://ca.test/acct/1';
const server = await startDnsServer({
  zones: [
    {
      name: 'example.test',
      records: [
        '@ CAA 0 issue "other.test"',
        '@ CAA 0 iodef "mailto:a@example.test"',
        'ours CAA 0 issue "CA.test"',
        'both CAA 0 issue "other.test"',
        'both CAA 0 ISSUE "ca.test"',
        'nobody CAA 0 issue ";"',
        'empty CAA 0 issue ""',
        'reopened CAA 0 issue ";"',
        'reopened CAA 0 issue "ca.test"',
        'wild CAA 0 issue "other.test"',
        'wild CAA 0 issuewild "ca.test"',
        'tame CAA 0 issue "ca.test"',
        'tame CAA 0 issuewild ";"',
        'iodef CAA 0 iodef "mailto:a@example.test"',
        'critical CAA 128 tbs "x"',
        'critical CAA 0 issue "ca.test"',
        'uncritical CAA 0 tbs "x"',
        'uncritical CAA 0 issue "ca.test"',
        'odd CAA 128 critical "x"',
        'odd CAA 0 issue "ca.test"',
        'methods CAA 0 issue "ca.test; validationmethods=dns-01,tls-alpn-01"',
        `account CAA 0 issue "ca.test; accounturi=${account}"`,
        `accounts CAA 0 issue "ca.test; accounturi=${account}; accounturi=${account}"`,
        'malformed CAA 0 issue "ca.test; what is this"',
        'aliased CNAME edge.fleet.test.',
        'plain CNAME free.fleet.test.',
        'deep.down A 192.0.2.1',
      ],
    },
    { name: 'fleet.test', records: ['edge CAA 0 issue "fleet-ca.test"', 'free A 192.0.2.1'] },
    { name: 'open.test', records: ['www A 192.0.2.1'] },
    { name: 'tld', records: ['@ CAA 0 issue "other.test"'] },
    { name: 'broken.test', records: null },
  ],
});
t.teardown(() => server.close());
const lookup = createDnsLookup({ servers: [server.address] });
const check = (host: string, question: Partial<CaaQuestion> = {}) =>
  checkCaa(lookup, host, { identities: ['ca.test'], method: 'http-01', accountUrl: account, ...question });

t.test('decides as a CA does', async (t) => {
  const cases: [host: string, allowed: boolean, why: string, question?: Partial<CaaQuestion>][] = [
    ['www.open.test', true, 'no records anywhere'],
    ['ours.example.test', true, 'named, whatever the case'],
    ['both.example.test', true, 'values add up'],
    ['deep.down.example.test', false, 'the closest set on the way up'],
    ['x.ours.example.test', true, 'the closest set wins over the one above it'],
    ['example.test', false, 'another CA only'],
    ['nobody.example.test', false, 'nobody at all'],
    ['empty.example.test', false, 'nobody at all, by an empty value'],
    ['reopened.example.test', true, 'nobody, and this one'],
    ['wild.example.test', false, 'issuewild says nothing about a name'],
    ['*.wild.example.test', true, 'issuewild for a wildcard'],
    ['*.tame.example.test', false, 'issuewild overrides issue'],
    ['*.ours.example.test', true, 'issue for a wildcard without issuewild'],
    ['iodef.example.test', true, 'a set that limits nothing ends the way up'],
    ['critical.example.test', false, 'an unknown critical tag'],
    ['uncritical.example.test', true, 'an unknown tag that is not critical'],
    ['odd.example.test', false, 'a tag that Node mistakes for the flags'],
    ['aliased.example.test', false, 'a CNAME is followed'],
    ['plain.example.test', false, 'a CNAME that leads to none: up from the host, not from its target'],
    ['name.tld', false, 'the top-level domain counts'],
    ['www.broken.test', false, 'SERVFAIL'],
    ['methods.example.test', false, 'by other methods only'],
    ['methods.example.test', true, 'by this method', { method: 'dns-01' }],
    ['methods.example.test', true, 'the method is not known', { method: null }],
    ['account.example.test', true, 'for this account'],
    ['account.example.test', false, 'for another account', { accountUrl: 'https://ca.test/acct/2' }],
    ['account.example.test', true, 'the account is not known', { accountUrl: null }],
    ['accounts.example.test', false, 'two accounts in one record'],
    ['malformed.example.test', false, 'a malformed value names nobody'],
    ['example.test', true, 'a second identity of the CA', { identities: ['ca.test', 'other.test'] }],
    ['example.test', true, 'no identities: not checked', { identities: [] }],
  ];
  for (const [host, allowed, why, question] of cases) {
    t.match(await check(host, question), { allowed }, `${host}: ${why}`);
  }
});

t.test('a no comes with the record that would change it', async (t) => {
  const found = ['0 issue "other.test"', '0 iodef "mailto:a@example.test"'];
  const { detail, requirement } = await check('deep.down.example.test');
  t.match(
    detail,
    /^the CAA records of example\.test \(.*0 issue "other\.test".*\) do not allow ca\.test to issue\. Add the CAA record 0 issue "ca\.test" to example\.test\.$/,
  );
  t.match(requirement, {
    host: 'deep.down.example.test',
    type: 'CAA',
    name: 'example.test',
    value: '0 issue "ca.test"',
  });
  t.strictSame([...requirement!.found!].sort(), found.sort());
  t.match((await check('*.tame.example.test')).requirement, {
    name: 'tame.example.test',
    value: '0 issuewild "ca.test"',
  });
  t.match((await check('aliased.example.test')).requirement, { name: 'edge.fleet.test' }, 'behind the CNAME');
  t.match(await check('critical.example.test'), { detail: /critical tag, "tbs"/, requirement: null });
  t.match(await check('www.broken.test'), { detail: /could not be done: .*SERVFAIL/, requirement: null });
  t.match(await check('methods.example.test'), { detail: /by dns-01,tls-alpn-01 only, not by http-01/ });
});

t.test('reads values by the grammar of RFC 8659', async (t) => {
  t.strictSame(parseIssueValue(' ca.test ; a = b;c=d '), {
    issuer: 'ca.test',
    parameters: [
      { tag: 'a', value: 'b' },
      { tag: 'c', value: 'd' },
    ],
  });
  t.strictSame(parseIssueValue('ca.test;'), { issuer: 'ca.test', parameters: [] });
  t.strictSame(parseIssueValue(';'), { issuer: '', parameters: [] });
  for (const value of ['ca .test', 'ca.test a=b', 'ca.test; a b', 'ca..test', '-ca.test', 'ca.test; =b']) {
    t.equal(parseIssueValue(value), null, value);
  }
});
