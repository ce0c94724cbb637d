import { isText } from '../shared/fields.ts';
import { recordKind } from './kind-module.ts';

/**
 * What every edge answers for an order under way. The record's id is the token. For `tls-alpn-01` (RFC 8737) the certificate to
 * show comes with it, its PKCS#8 key sealed with `challenge/<id>`.
 */
export interface ChallengeRecord {
  type: 'http-01' | 'tls-alpn-01';
  host: string;
  token: string;
  keyAuthorization: string;
  certificate?: string | undefined;
  sealedKey?: string | undefined;
  createdAt: string;
}

export const challenge = recordKind<ChallengeRecord>()({
  kind: 'challenge',
  audience: 'edge',
  version: 1,
  secret: { keyAuthorization: true, sealedKey: 'edge' },
  journal: () => false,
  fault({ type, host, token, keyAuthorization, certificate, sealedKey }, id) {
    if (type !== 'http-01' && type !== 'tls-alpn-01') return 'is of a type that is not known';
    if (token !== id) return 'has another token than its name';
    if (!isText(host)) return 'has no host';
    if (type === 'tls-alpn-01') {
      return isText(certificate) && isText(sealedKey) ? null : 'comes without its certificate';
    }
    return isText(keyAuthorization) ? null : 'has no key authorization';
  },
});
