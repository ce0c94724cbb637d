import t from 'tap';
import { tellsOfCertificatesOnce, tellsOfNodesOnce } from './tell-once.ts';

for (const death of ['before', 'after'] as const) {
  t.test(
    `whoever observes dies ${death} it tells of each thing for the first time: what nodes do is told once`,
    (t) => tellsOfNodesOnce(t, death),
  );

  t.test(
    `whoever observes dies ${death} it tells of each thing for the first time: what becomes of certificates is told once`,
    (t) => tellsOfCertificatesOnce(t, death),
  );
}
