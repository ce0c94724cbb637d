import type { Attempt } from '../api/attempt.ts';
import { recordKind } from './kind-module.ts';

/** The last attempts of a certificate, the newest first; the record has the certificate's id. */
export interface AttemptsRecord {
  attempts: Attempt[];
}

export const attempts = recordKind<AttemptsRecord>()({
  kind: 'attempts',
  audience: 'control',
  version: 1,
  secret: {},
  journal: () => false,
});
