import type { Issuer } from '@lockstep/client';
import { tableOf } from '../output/table.ts';
import { certificateDeed, issuerOf, worthTaking } from './certificate-deeds.ts';
import { findCertificates } from './certificate-sources.ts';
import { doAll } from './deeds.ts';
import type { ImportTarget } from './import-target.ts';

export interface ImportCertificatesOptions extends ImportTarget {
  source: string;
  issuer: string | null;
}

/** Takes certificates over, or says which. Resolves with the exit code: 1 where one was refused. */
export async function importCertificates(options: ImportCertificatesOptions): Promise<number> {
  const { source, issuer, apply, client, output } = options;
  const { json, line: print } = output;
  const { certificates, faults } = findCertificates(source);
  const { taken, passed } = worthTaking(certificates, Date.now());
  const issuers = await Array.fromAsync<Issuer>(client.issuers.list());
  const deeds = taken.map((found) => certificateDeed(found, issuer ?? issuerOf(found, issuers)));
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
  const { done, refused } = await doAll(client, deeds, print);
  if (!json) print(`\n${done} certificates are here${refused > 0 ? `, ${refused} were refused` : ''}.`);
  return refused > 0 ? 1 : 0;
}
