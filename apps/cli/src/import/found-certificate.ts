import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { type Dirent, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A certificate with its key, as it was found somewhere. */
export interface FoundCertificate {
  chain: string;
  key: string;
  names: string[];
  notAfter: Date;
  fingerprint256: string;
  /** The directory of the CA it is from, where that is known. */
  directory: string | null;
  /** The folder of Caddy's storage it is from. */
  storage: string | null;
  /** Where it was found. */
  from: string;
}

export interface Finds {
  certificates: FoundCertificate[];
  /** What stands there and is none. */
  faults: { from: string; detail: string }[];
}

const mostFileBytes = 1_048_576;
const mostDepth = 6;
const certificateBlock = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
const keyBlock = /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[\s\S]*?-----END (?:[A-Z]+ )*PRIVATE KEY-----/g;

/** Reads a certificate; what is wrong with it is a fault, which never quotes the key. */
export function addFound(
  finds: Finds,
  given: Pick<FoundCertificate, 'chain' | 'key' | 'from'> & Partial<FoundCertificate>,
): void {
  try {
    const leaf = new X509Certificate(given.chain);
    if (!leaf.checkPrivateKey(createPrivateKey(given.key)))
      throw new Error('the key is not that of the certificate');
    finds.certificates.push({
      directory: null,
      storage: null,
      ...given,
      names: namesOf(leaf),
      notAfter: new Date(leaf.validTo),
      fingerprint256: leaf.fingerprint256,
    });
  } catch (error) {
    const { message } = error as Error;
    const detail = /PRIVATE KEY/.test(message) ? 'cannot be read' : message;
    finds.faults.push({ from: given.from, detail });
  }
}

export function namesOf(leaf: X509Certificate): string[] {
  const names = leaf.subjectAltName?.split(', ') ?? [];
  return names.filter((name) => name.startsWith('DNS:')).map((name) => name.slice(4).toLowerCase());
}

/** All files below a folder, by path. */
export function filesBelow(folder: string, depth = 0): string[] {
  if (depth > mostDepth) return [];
  const entries: Dirent[] = readdirSync(folder, { withFileTypes: true });
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return filesBelow(path, depth + 1);
      return entry.isFile() || isFile(path) ? [path] : [];
    });
}

/** The certificates in files that are laid out anyhow: each goes to the key that it belongs to. */
export function pemFiles(files: readonly string[]): Finds {
  const finds: Finds = { certificates: [], faults: [] };
  const keys: { pem: string; key: KeyObject }[] = [];
  const chains: { chain: string; from: string }[] = [];
  for (const from of files) {
    const text = readSmall(from);
    const blocks = text?.match(certificateBlock) ?? null;
    if (blocks !== null) chains.push({ chain: `${blocks.join('\n')}\n`, from });
    for (const pem of text?.match(keyBlock) ?? []) {
      try {
        keys.push({ pem: `${pem}\n`, key: createPrivateKey(pem) });
      } catch {
        finds.faults.push({
          from,
          detail: 'holds a private key that cannot be read; an encrypted one is not taken',
        });
      }
    }
  }
  const best = new Map<string, { chain: string; from: string; pem: string }>();
  for (const { chain, from } of chains) {
    let leaf: X509Certificate;
    try {
      leaf = new X509Certificate(chain);
    } catch {
      finds.faults.push({ from, detail: 'holds a certificate that cannot be read' });
      continue;
    }
    // A CA's own is none to serve; one that was made for a host by `openssl req -x509` says that it is a CA too.
    const names = namesOf(leaf);
    if (leaf.ca && names.length > 0)
      finds.faults.push({
        from,
        detail: `calls itself a CA, which clients refuse as a server’s: ${names.join(', ')}`,
      });
    if (leaf.ca) continue;
    const own = keys.find(({ key }) => leaf.checkPrivateKey(key));
    if (own === undefined) {
      if (!leaf.ca) finds.faults.push({ from, detail: `has no key here: ${names.join(', ')}` });
      continue;
    }
    // cert.pem beside fullchain.pem: the longer chain is the whole one.
    const known = best.get(leaf.fingerprint256);
    if (known === undefined || known.chain.length < chain.length)
      best.set(leaf.fingerprint256, { chain, from, pem: own.pem });
  }
  for (const { chain, from, pem } of best.values()) addFound(finds, { chain, key: pem, from });
  return finds;
}

export function readSmall(file: string): string | null {
  return statSync(file).size > mostFileBytes ? null : readFileSync(file, 'utf8');
}

export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
