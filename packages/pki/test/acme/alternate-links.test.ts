import t from 'tap';
import { alternateLinks } from '../../src/acme/alternate-links.ts';

t.test('finds the alternates of a Link header, however it is written', async (t) => {
  const base = 'https://ca.example/cert/1';
  t.same(alternateLinks('<https://ca.example/dir>;rel="index", </cert/1/1>; rel="alternate"', base), [
    'https://ca.example/cert/1/1',
  ]);
  t.same(alternateLinks('<a,b>;title="x";rel=alternate,<c>;rel="up alternate"', base), [
    'https://ca.example/cert/a,b',
    'https://ca.example/cert/c',
  ]);
  t.same(alternateLinks('<a>;rel=alternate2, <b>;rel="up", <http://[>;rel=alternate', base), []);
  t.same(alternateLinks(undefined, base), []);
});
