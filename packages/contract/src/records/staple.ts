import { isText } from '../shared/fields.ts';
import { recordKind } from './kind-module.ts';

/** The stapled OCSP response of a certificate, by the certificate's id (RFC 6960). Edges staple it while it matches and is current. */
export interface StapleRecord {
  /** Of the leaf it speaks of: a response for another certificate is not stapled. */
  fingerprint256: string;
  url: string;
  /** DER as base64; null before the first. */
  response: string | null;
  nextUpdate: string | null;
  failures: number;
  lastError: string | null;
  dueAt: string;
}

export const staple = recordKind<StapleRecord>()({
  kind: 'staple',
  audience: 'edge',
  version: 1,
  secret: {},
  journal: () => false,
  fault({ fingerprint256, response, nextUpdate }) {
    if (!isText(fingerprint256)) return 'has no fingerprint';
    return (response === null || isText(response)) && (nextUpdate === null || isText(nextUpdate))
      ? null
      : 'has no response that can be read';
  },
});
