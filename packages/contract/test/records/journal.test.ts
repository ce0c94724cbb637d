import t from 'tap';
import { fromJournal, isForJournal, kinds, toJournal } from '../../src/index.ts';
import { recordKind } from '../../src/records/kind-module.ts';
import { kindsByName } from '../../src/records/kinds.ts';

interface SealedRecord {
  name: string;
  sealedToken: string | null;
}

t.test('no kind can be added without saying what of it is secret, and what is sealed is', (t) => {
  const facts = { kind: 'x', audience: 'control', version: 1, journal: () => true } as const;
  // @ts-expect-error: it does not say
  recordKind<SealedRecord>()({ ...facts });
  // @ts-expect-error: what is sealed is secret
  recordKind<SealedRecord>()({ ...facts, secret: {} });
  // @ts-expect-error: there is no such field
  recordKind<SealedRecord>()({ ...facts, secret: { sealedToken: 'control', sealedKey: 'control' } });
  // @ts-expect-error: whether the journal keeps it is to be said too
  recordKind<SealedRecord>()({
    kind: 'x',
    audience: 'control',
    version: 1,
    secret: { sealedToken: 'control' },
  });
  t.ok(recordKind<SealedRecord>()({ ...facts, secret: { sealedToken: 'control' } }));
  t.end();
});

t.test('the journal keeps no field that is secret, and shows none, of any kind', (t) => {
  for (const kind of kinds) {
    const secrets = Object.keys(kindsByName.get(kind)!.secret);
    const value = { ...Object.fromEntries(secrets.map((name) => [name, 'SECRET'])), name: 'shown' };
    const kept = toJournal(kind, JSON.stringify(value));
    t.notMatch(kept, /SECRET/, kind);
    t.match(fromJournal(kind, kept!), { name: 'shown' }, kind);
    t.notMatch(JSON.stringify(fromJournal(kind, JSON.stringify(value))), /SECRET/, kind);
  }
  t.equal(toJournal('account', '{"sealedKey":"SECRET'), null, 'what cannot be read is not kept');
  t.end();
});

t.test('the journal keeps what a person would ask about, and no step of the machinery', (t) => {
  t.same(
    kinds.filter((kind) => isForJournal(kind, null)),
    [
      'route',
      'certificate',
      'account',
      'authority',
      'drain',
      'issuer',
      'settings',
      'rotation',
      'token',
      'webhook',
    ],
  );
  t.end();
});
