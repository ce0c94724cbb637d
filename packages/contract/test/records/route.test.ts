import t from 'tap';
import { recordFault } from '../../src/index.ts';

function faultOf(more: object): string | null {
  const value = { hosts: ['shop.example.com'], paths: ['/'], upstreams: [{ url: 'http://10.0.0.7:3000' }] };
  const dates = { createdAt: '2026-01-01T00:00:00.000Z', updatedAt: '2026-01-01T00:00:00.000Z' };
  return recordFault({ kind: 'route', id: 'shop', revision: 1, value: { ...value, ...dates, ...more } });
}

t.test('a route with a field that is not known is refused by it, however deep it stands', async (t) => {
  t.equal(faultOf({}), null);
  t.match(faultOf({ shadow: true }), /has a field "shadow", which this revision of Lockstep does not know/);
  t.match(faultOf({ upstreams: [{ url: 'http://10.0.0.7:3000', colour: 'red' }] }), /"upstreams\.colour"/);
});
