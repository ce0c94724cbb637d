import type { CertificateRecord } from '@lockstep/contract';
import type { Change } from '@lockstep/store';
import { broughtClaims } from './brought.ts';
import { tenantClaims } from './tenant-claim.ts';

const longestNoticeMs = 30 * 86_400_000;

/** From when on a certificate is called one that expires soon: with a sixth of its lifetime left, 30 days at most. */
export function expiresSoonFrom({
  notBefore,
  notAfter,
}: Pick<CertificateRecord, 'notBefore' | 'notAfter'>): number {
  const end = Date.parse(notAfter);
  return end - Math.min((end - Date.parse(notBefore)) / 6, longestNoticeMs);
}

/** The one way to write a certificate: with the claims of its names, and due from when on it expires soon, so that those are counted. */
export function putCertificate(id: string, value: CertificateRecord): Change {
  return {
    op: 'put',
    kind: 'certificate',
    id,
    value,
    dueAt: expiresSoonFrom(value),
    ...(value.names === undefined
      ? {}
      : { claims: [...broughtClaims(id, value.names), ...tenantClaims('certificate', id, value.tenant)] }),
  };
}
