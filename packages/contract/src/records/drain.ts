import { isText } from '../shared/fields.ts';
import { recordKind } from './kind-module.ts';

/** An operator's word that node `<id>` is to get no more traffic: it says so at its `/readyz` until the record is gone. */
export interface DrainRecord {
  since: string;
}

export const drain = recordKind<DrainRecord>()({
  kind: 'drain',
  audience: 'edge',
  version: 1,
  secret: {},
  journal: () => true,
  fault: ({ since }) => (isText(since) ? null : 'says not since when'),
});
