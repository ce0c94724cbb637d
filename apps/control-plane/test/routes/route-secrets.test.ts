import { testFolder } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { startControlPlane } from '../start-control-plane.ts';

const hashOf = (last: string) => `$2y$10$abcdefghijklmnopqrstuuT7L5UXcXSYlwGSx1QWhvSwbWPvwvSY${last}`;
const ann = { name: 'ann', passwordHash: hashOf('1') };
const bob = { name: 'bob', passwordHash: hashOf('2') };
const shop = { hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
const path = '/v1/routes/shop';

async function start(t: Test) {
  const { call, askedFor, store, sealers } = await startControlPlane(t, testFolder(t));
  const put = (users: object[], realm = 'Shop') =>
    call('PUT', path, { body: { ...shop, basicAuth: { realm, users } } });
  const secrets = async () => {
    const sealed = (await store.get('route', 'shop'))?.value.sealedSecrets;
    return sealed === undefined ? null : JSON.parse(sealers.edges.open(sealed, 'route/shop'));
  };
  return { call, askedFor, store, put, secrets };
}

t.test('password hashes are sealed for edges, and neither shown nor kept in the journal', async (t) => {
  const { call, store, put, secrets } = await start(t);
  const answers = [await put([ann, bob]), await call('GET', path), await call('GET', '/v1/routes')];
  t.match(answers[1]?.body, { basicAuth: { realm: 'Shop', users: [{ name: 'ann' }, { name: 'bob' }] } });
  t.strictSame(await secrets(), { 'basicAuth ann': ann.passwordHash, 'basicAuth bob': bob.passwordHash });
  const { items } = await store.readJournal({ limit: 100 });
  t.ok(items.some(({ kind }) => kind === 'route'));
  t.notMatch(JSON.stringify(items), 'sealedSecrets');
  const record = await store.get('route', 'shop');
  for (const text of [...answers.map(({ body }) => body), items, record])
    t.notMatch(JSON.stringify(text), '$2y$');
  for (const { body } of answers) t.notMatch(JSON.stringify(body), 'sealedSecrets');
});

t.test(
  'a hash that is left out stays: what GET shows can be put again, and a PATCH elsewhere loses none',
  async (t) => {
    const { call, askedFor, put, secrets } = await start(t);
    const made = await put([ann, bob]);
    const before = await askedFor();
    const { status, revision, createdAt, updatedAt, ...shown } = (await call('GET', path)).body;
    t.equal((await call('PUT', path, { body: shown })).status, 202);
    t.equal((await call('PATCH', path, { body: { basicAuth: shown.basicAuth } })).status, 202);
    t.equal((await put([ann, { name: 'bob' }])).body.revision, made.body.revision);
    t.same(await askedFor(), before, 'nothing changed: no edge hears of it');
    await call('PATCH', path, { body: { paths: ['/a'] } });
    await call('PATCH', path, { body: { basicAuth: { realm: 'Other', users: [{ name: 'ann' }] } } });
    t.strictSame(await secrets(), { 'basicAuth ann': ann.passwordHash });
    await put([{ ...ann, passwordHash: hashOf('3') }]);
    t.strictSame(await secrets(), { 'basicAuth ann': hashOf('3') });
    t.equal((await call('PATCH', path, { body: { basicAuth: null } })).status, 202);
    t.equal(await secrets(), null);
    t.match(await put([{ name: 'ann' }]), { status: 400 }, 'what was taken away is gone');
  },
);

t.test('a record whose secrets were altered is put anew', async (t) => {
  const { store, put, secrets } = await start(t);
  await put([ann]);
  const record = (await store.get('route', 'shop'))!;
  const value = { ...record.value, sealedSecrets: 'altered' };
  await store.commit({ id: 'altered', changes: [{ op: 'put', kind: 'route', id: 'shop', value }] });
  t.match(await put([{ name: 'ann' }]), { status: 400 });
  t.equal((await put([ann])).status, 202);
  t.strictSame(await secrets(), { 'basicAuth ann': ann.passwordHash });
});

t.test('what is no hash is refused with what makes one, and is not said back', async (t) => {
  const { put } = await start(t);
  const argon2 = (parameters: string) =>
    `$argon2id$v=19$${parameters}$c2l4dGVlbiBieXRlcw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA`;
  const none = /^is neither a bcrypt hash.*htpasswd -nB NAME.*caddy hash-password/;
  const refused: [object[], string, RegExp][] = [
    [[{ name: 'ann', passwordHash: 'open sesame' }], '/basicAuth/users/0/passwordHash', none],
    [
      [{ name: 'ann', passwordHash: '{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=' }],
      '/basicAuth/users/0/passwordHash',
      none,
    ],
    [
      [{ name: 'ann', passwordHash: '$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/' }],
      '/basicAuth/users/0/passwordHash',
      none,
    ],
    [
      [ann, { name: 'bob' }],
      '/basicAuth/users/1/passwordHash',
      /^is missing, and "bob" has none yet.*htpasswd/,
    ],
    [
      [{ ...ann, passwordHash: ann.passwordHash.replace('$10$', '$17$') }],
      '/basicAuth/users/0/passwordHash',
      /cost 17; from 4 to 15/,
    ],
    [
      [{ ...ann, passwordHash: argon2('m=1048576,t=3,p=4') }],
      '/basicAuth/users/0/passwordHash',
      /up to m=131072, t=10, p=8/,
    ],
    [[ann, { ...bob, name: 'ann' }], '/basicAuth/users/1/name', /"ann" is named twice/],
    [[{ ...ann, name: 'a:b' }], '/basicAuth/users/0/name', /a colon/],
    [[], '/basicAuth/users', /at least 1/],
  ];
  for (const [users, pointer, detail] of refused) {
    const { status, body } = await put(users);
    t.match(
      { status, body },
      { status: 400, body: { errors: [{ pointer, detail }] } },
      JSON.stringify(users),
    );
    t.notMatch(JSON.stringify(body), /sesame|W6ph|r31/);
  }
  t.match(await put([ann], 'über'), {
    status: 400,
    body: { errors: [{ pointer: '/basicAuth/realm', detail: /printable ASCII/ }] },
  });
  t.equal((await put([{ ...ann, passwordHash: argon2('m=47104,t=1,p=1') }])).status, 201);
});
