import { hkdfSync, randomBytes } from 'node:crypto';
import { AppError } from '@lockstep/contract';

const keyBytes = 32;
const edgePrefix = 'edge_'; // no character of base64 is "_"
const howToGetEdgeKey = '`lockstep keygen --edge` prints it where LOCKSTEP_SECRET_KEY is set';

/** A new secret key, as `createSealer` takes it. */
export function generateSecretKey(): string {
  return randomBytes(keyBytes).toString('base64');
}

/**
 * The keys of edges, one for each secret key in their order: HKDF-SHA256 (RFC 5869) of the secret key, which cannot be told from it.
 * Throws as `createSealer`.
 */
export function deriveEdgeKey(secretKeys: string): string {
  return readSecretKeys(secretKeys)
    .map((secretKey) => hkdfSync('sha256', secretKey, '', 'lockstep edge key v1', keyBytes))
    .map((key) => edgePrefix + Buffer.from(key).toString('base64'))
    .join(',');
}

/** Throws `bad_configuration` for anything else than secret keys, with commas or line ends between them. */
export function readSecretKeys(secretKeys: string): Buffer[] {
  return split(secretKeys).map((text) => {
    if (text.startsWith(edgePrefix)) {
      throw new AppError(
        'bad_configuration',
        'the secret key is an edge key, which is for edges alone (LOCKSTEP_EDGE_KEY); LOCKSTEP_SECRET_KEY takes the key that it was derived from, which `lockstep keygen` made',
      );
    }
    const key = readBytes(text);
    if (key === null) {
      throw new AppError(
        'bad_configuration',
        'the secret key is not 32 bytes as base64; `lockstep keygen` makes one',
      );
    }
    return key;
  });
}

/** The same for keys of edges. */
export function readEdgeKeys(edgeKeys: string): Buffer[] {
  return split(edgeKeys).map((text) => {
    if (!text.startsWith(edgePrefix)) {
      const what =
        readBytes(text) === null ? 'is no edge key' : 'is the secret key, which edges must not have';
      throw new AppError('bad_configuration', `LOCKSTEP_EDGE_KEY ${what}; ${howToGetEdgeKey}`);
    }
    const key = readBytes(text.slice(edgePrefix.length));
    if (key === null)
      throw new AppError('bad_configuration', `LOCKSTEP_EDGE_KEY is not whole; ${howToGetEdgeKey}`);
    return key;
  });
}

function split(keys: string): string[] {
  return keys.trim().split(/\s*[,\n]\s*/);
}

function readBytes(text: string): Buffer | null {
  const key = Buffer.from(text, 'base64');
  const written = key.toString('base64').replace(/=+$/, '') === text.replace(/=+$/, '');
  return key.length === keyBytes && written ? key : null;
}
