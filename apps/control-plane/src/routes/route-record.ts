import { claimsOfRoute, type RouteRecord } from '@lockstep/contract';
import type { Change } from '@lockstep/store';
import { clientCertificateClaim, clientCertificatesOf } from '../certificates/client-certificate.ts';
import { tenantClaims } from '../certificates/tenant-claim.ts';
import { issuerClaim } from '../issuers/issuer-service.ts';

/** The one way to write a route: with what it serves, and the issuers and certificates it names, by which they are found in use. */
export function putRoute(id: string, value: RouteRecord): Change {
  const claims = [
    ...claimsOfRoute(value),
    ...(value.issuers ?? []).map((issuer) => issuerClaim(issuer, id)),
    ...clientCertificatesOf(value).map((certificate) => clientCertificateClaim(certificate, id)),
    ...tenantClaims('route', id, value.tenant),
  ];
  return { op: 'put', kind: 'route', id, value, claims };
}
