import { recordKind } from './kind-module.ts';

/**
 * What was told last of something that is observed and not committed, by `<topic>/<id>`: whoever observes it tells what differs from this,
 * in the commit that writes this anew, so that nothing is told twice or passed over.
 */
export interface ToldRecord {
  state: string;
  /** Of what it was told: a revision, a fingerprint. */
  mark: string;
}

export const told = recordKind<ToldRecord>()({
  kind: 'told',
  audience: 'control',
  version: 1,
  secret: {},
  journal: () => false,
});
