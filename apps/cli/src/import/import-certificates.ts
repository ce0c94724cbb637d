import type { Issuer } from '@lockstep/contract';
import { createApiClient } from '../api/api-client.ts';
import { findToken } from '../api/find-token.ts';
import { certificateDeed, issuerOf, worthTaking } from './certificate-deeds.ts';
import { findCertificates } from './certificate-sources.ts';
import { doAll } from './deeds.ts';
import type { ImportTarget } from './import-target.ts';
import { tableOf } from './table.ts';

export interface ImportCertificatesOptions extends ImportTarget {
  source: string;
  issuer: string | null;
}

/** Takes certificates over, or says which. Resolves with the exit code: 1 where one was refused. */
export async function importCertificates(options: ImportCertificatesOptions): Promise<number> {
  const { source, issuer, apply, json, print } = options;
  const { certificates, faults } = findCertificates(source);
  const { taken, passed } = worthTaking(certificates, Date.now());
  const api = createApiClient({ url: options.url, token: findToken(options.dataDir) });
  const { body } = await api.call<{ items: Issuer[] }>('GET', '/v1/issuers');
  const deeds = taken.map((found) => certificateDeed(found, issuer ?? issuerOf(found, body.items)));
  const notes = [...faults, ...passed];
  if (json) {
    const shown = deeds.map(({ names, notAfter, issuer }) => ({ names, notAfter, issuer }));
    print(JSON.stringify({ certificates: shown, notes }, null, 2));
  } else {
    const rows = deeds.map(({ names, notAfter, issuer }) => [
      names.join(', '),
      notAfter.toISOString().slice(0, 10),
      issuer ?? 'nobody: bring its successor',
    ]);
    for (const line of tableOf(['CERTIFICATE', 'UNTIL', 'RENEWED BY'], rows)) print(line);
    for (const { from, detail } of notes) print(`${from}: ${detail}`);
  }
  if (!apply) {
    if (!json) print(`\nNothing is done yet: --apply takes over ${deeds.length} certificates.`);
    return 0;
  }
  const { done, refused } = await doAll(api, deeds, print);
  if (!json) print(`\n${done} certificates are here${refused > 0 ? `, ${refused} were refused` : ''}.`);
  return refused > 0 ? 1 : 0;
}
