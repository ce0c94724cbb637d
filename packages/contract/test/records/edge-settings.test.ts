import t from 'tap';
import { defaultEdgeSettings, edgeSettingsId, recordFault } from '../../src/index.ts';
import { PutSettings } from '../../src/schemas.ts';

const faultOf = (edge: object) =>
  recordFault({
    kind: 'edge-settings',
    id: edgeSettingsId,
    revision: 1,
    value: { onDemand: null, edge },
  } as never);

t.test('an edge refuses settings with a field that it does not know, by its name', async (t) => {
  const edge = PutSettings.parse({ edge: { tls: { minVersion: '1.3', noSniCertificate: 'a' } } }).edge;
  t.equal(faultOf(edge), null);
  t.equal(faultOf(defaultEdgeSettings), null);
  const unknown = (name: string) =>
    `has a field "edge.${name}", which this revision of Lockstep does not know`;
  t.equal(faultOf({ ...edge, quic: true }), unknown('quic'));
  t.equal(faultOf({ ...edge, tls: { ...edge.tls, curves: [] } }), unknown('tls.curves'));
  t.equal(faultOf({ ...edge, limits: { ...edge.limits, other: 1 } }), unknown('limits.other'));
});
