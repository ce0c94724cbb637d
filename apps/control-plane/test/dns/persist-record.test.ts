import t from 'tap';
import { judgePersistRecords, persistName, persistValue } from '../../src/dns/persist-record.ts';
import { checkPersist } from '../../src/issuance/persist-check.ts';
import type { Issuer } from '../../src/issuers/issuer.ts';

const now = Date.parse('2026-12-01T00:00:00.000Z');
const later = now / 1_000 + 86_400;
const account = 'https://ca.example/acct/123';
const question = {
  host: 'shop.example.com',
  issuerDomains: ['ca.example', 'ca.example.net'],
  accountUri: account,
};
const wildcard = { ...question, host: '*.shop.example.com' };
const right = `ca.example; accounturi=${account}`;

t.test('shows the record that the CA asks for, at one name for a wildcard and its own', async (t) => {
  t.equal(persistName('shop.example.com'), '_validation-persist.shop.example.com');
  t.equal(persistName('*.shop.example.com'), '_validation-persist.shop.example.com');
  t.equal(persistValue(question), right);
  t.equal(persistValue(wildcard), `${right}; policy=wildcard`);
  for (const one of [question, wildcard])
    t.match(judgePersistRecords([persistValue(one)], one, now), { ok: true, until: null });
});

t.test('takes what a CA takes', async (t) => {
  for (const record of [
    right,
    `ca.example.net;accounturi=${account}`,
    `\t ca.example \t;\t accounturi \t=\t ${account} \t`,
    `ca.example; AccountURI=${account}; Policy=WildCard`,
    `${right}; policy=anything; of-another=time`,
    `${right}; persistUntil=${later}`,
    `${right}; persistUntil=999999999999999`,
  ])
    t.match(judgePersistRecords([record], question, now), { ok: true }, record);
  t.match(judgePersistRecords([`${right}; policy=wildcard`], wildcard, now), { ok: true });
});

t.test('refuses what a CA refuses, and says why', async (t) => {
  const cases: [string, RegExp][] = [
    [`other.example; accounturi=${account}`, /none of those there names ca.example or ca.example.net/],
    ['', /none of those there names/],
    ['ca.example', /accounturi is missing/],
    ['ca.example; accounturi=', /accounturi is missing/],
    [`ca.example; accounturi=${account}4`, /names another account, .*1234; the account here is .*123$/],
    [`ca.example; accounturi=${account.toUpperCase()}`, /names another account/],
    [`CA.example.; accounturi=${account}`, /has to write it as ca.example/],
    [`${right};`, /a semicolon too many/],
    [`${right}; policy`, /"policy", which is not tag=value/],
    [`${right}; =x`, /not tag=value/],
    [`${right}; accounturi=${account}`, /has accounturi twice/],
    [`${right}; note=two words`, /a space or a sign/],
    [`${right}; persistUntil=2027-01-01`, /not a number of seconds/],
    [`${right}; persistUntil=`, /not a number of seconds/],
    [`${right}; persistUntil=1721952000`, /ran out at 2024-07-26T00:00:00.000Z/],
    [`${right}; persistUntil=-999999999999999`, /ran out at/],
  ];
  for (const [record, fault] of cases)
    t.match(judgePersistRecords([record], question, now), { ok: false, fault }, record);
  for (const record of [right, `${right}; policy=subdomains`])
    t.match(judgePersistRecords([record], wildcard, now), { ok: false, fault: /lacks policy=wildcard/ });
  t.match(judgePersistRecords([], question, now), { ok: false, fault: /none yet/ });
});

t.test('one record that will do is enough, and the one that stands longest counts', async (t) => {
  const others = [`other.example; accounturi=x`, `ca.example; accounturi=${account}4`];
  t.match(judgePersistRecords([...others, right], question, now), { ok: true });
  const until = (seconds: number) => `${right}; persistUntil=${seconds}`;
  t.same(judgePersistRecords([until(later), until(later + 60)], question, now), {
    ok: true,
    until: (later + 60) * 1_000,
  });
  t.same(judgePersistRecords([until(later), right], question, now), { ok: true, until: null });
});

t.test('of records that are long or many, what is kept and told is bounded', async (t) => {
  const long = 'x'.repeat(60_000);
  const found = [
    `ca.example; accounturi=${long}`,
    `${right}; ${long}`,
    `${right}; ${long}=a b`,
    `${right}; persistUntil=${long}`,
    ...Array.from({ length: 60 }, (_, index) => `ca.example; accounturi=${index}`),
  ];
  const issuer = { name: 'ca', persist: async () => ({ ...question, alone: true }) } as unknown as Issuer;
  const look = async () => ({ found, judgement: judgePersistRecords(found, question, now) });
  const checked = await checkPersist({ issuer, host: question.host, challenge: null }, { look }, now);
  t.equal(checked.allowed, false);
  t.ok(JSON.stringify(checked).length < 15_000, `${JSON.stringify(checked).length} characters`);
});
