import { recordKind } from './kind-module.ts';

/** The one record of its kind. */
export const canaryId = 'canary';

/** A sealed known text: whoever opens it has the right key, here the secret key. */
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
