import { isCount, isFields, isText } from '../shared/fields.ts';
import type { Revision } from '../shared/revision.ts';
import { recordKind } from './kind-module.ts';

/** An operator's word that node `<id>` may apply a snapshot up to `revision` which removes most of what it serves. */
export interface ConfirmationRecord {
  revision: Revision;
}

export const confirmation = recordKind<ConfirmationRecord>()({
  kind: 'confirmation',
  audience: 'edge',
  version: 1,
  secret: {},
  journal: () => false,
  fault: ({ revision }) =>
    isFields(revision) && isText(revision.epoch) && isCount(revision.number) ? null : 'names no revision',
});
