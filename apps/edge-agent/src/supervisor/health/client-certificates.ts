import { recordFault } from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki/sealer';
import type { ConfigCache } from '@lockstep/store';
import type { ProbeCertificate } from './probe-connection.ts';

/** What the edge shows upstreams that want to know who checks them, from its copy on disk. Null for one that it does not hold. */
export function createClientCertificates(
  cache: Pick<ConfigCache, 'get'>,
  sealer: Pick<Sealer, 'open'>,
): (id: string) => ProbeCertificate | null {
  return (id) => {
    const record = cache.get('certificate', id);
    if (record === null || recordFault(record) !== null) return null;
    const { chain, sealedKey } = record.value;
    return { chain, openKey: () => sealer.open(sealedKey, `certificate/${id}`) };
  };
}
