import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Leaves the internal CA's root where users find it. */
export async function writeRootCertificate(dataDir: string, certificate: string): Promise<void> {
  await mkdir(join(dataDir, 'ca'), { recursive: true });
  await writeFile(join(dataDir, 'ca', 'root.crt'), certificate);
}
