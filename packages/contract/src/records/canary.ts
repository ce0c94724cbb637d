import { recordKind } from './kind-module.ts';

/** A sealed known text: whoever opens it has the right key. `canary` is of the secret key, `edges` of the edge key. */
export interface CanaryRecord {
  sealed: string;
}

export const canary = recordKind<CanaryRecord>()({
  kind: 'canary',
  audience: 'control',
  version: 1,
  secret: { sealed: true },
  journal: () => false,
});
