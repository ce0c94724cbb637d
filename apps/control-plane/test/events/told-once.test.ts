import t from 'tap';
import { tellsOfCertificatesOnce, tellsOfNodesOnce } from './tell-once.ts';

// They wait more than they work.
t.jobs = 2;
/** One for each: tap writes into it. */
const buffered = () => ({ buffered: true });

t.test('what nodes do is told once, with two control planes that observe', buffered(), (t) =>
  tellsOfNodesOnce(t, 'never'),
);

t.test(
  'what becomes of certificates and issuers is told once, with two control planes that observe',
  buffered(),
  (t) => tellsOfCertificatesOnce(t, 'never'),
);
