import type { Attempt } from '../api/attempt.ts';
import { recordKind } from './kind-module.ts';

/** The last attempts of a certificate, the newest first; the record has the certificate's id. */
export interface AttemptsRecord {
  /** `failure`: what can be done about one that failed, as its issuer's code tells it. */
  attempts: (Attempt & { failure?: string | undefined })[];
}

export const attempts = recordKind<AttemptsRecord>()({
  kind: 'attempts',
  audience: 'control',
  version: 1,
  secret: {},
  journal: () => false,
});
