import { AppError, type PutRoute } from '@lockstep/contract';
import type { Check, ConfigStore } from '@lockstep/store';
import { invalidField } from '../validation/invalid-field.ts';
import type { RouteWords } from './own-certificates.ts';

/** The claim by which a route tells that its upstreams are shown a certificate: found by its prefix. */
export function clientCertificateClaim(certificate: string, route: string): string {
  return `client-certificate ${certificate} ${route}`;
}

export function clientCertificatesOf({ upstreams = [] }: Pick<PutRoute, 'upstreams'>): string[] {
  return [...new Set(upstreams.flatMap(({ tls }) => tls?.clientCertificate ?? []))];
}

/** What the commit of a route has to check of the certificates that its upstreams are shown. Throws `invalid_request` where there is none. */
export async function checkClientCertificates(
  store: ConfigStore,
  route: Pick<PutRoute, 'upstreams'>,
): Promise<Check[]> {
  const ids = clientCertificatesOf(route);
  if (ids.length === 0) return [];
  const found = await store.getMany('certificate', ids);
  return ids.map((id, i) => {
    const record = found[i] ?? null;
    if (record !== null) return { kind: 'certificate', id, revision: record.revision };
    throw noSuchCertificate(route, id);
  });
}

export function noSuchCertificate({ upstreams = [] }: Pick<PutRoute, 'upstreams'>, id: string): AppError {
  const index = upstreams.findIndex(({ tls }) => tls?.clientCertificate === id);
  return invalidField(
    `/upstreams/${index}/tls/clientCertificate`,
    `there is no certificate "${id}"; bring it with POST /v1/certificates, and name the id that it gets`,
  );
}

/** Throws `in_use` while a route has its upstreams shown the certificate. */
export async function refuseShown(store: ConfigStore, id: string, wordsOf: RouteWords): Promise<void> {
  const [holder] = await store.findClaims(clientCertificateClaim(id, ''), 1);
  if (holder === undefined) return;
  const { words, facts } = await wordsOf(holder.id);
  throw new AppError(
    'in_use',
    `${words} shows certificate "${id}" to its upstreams; take it out of their tls first`,
    { facts: { certificate: id, ...facts } },
  );
}
