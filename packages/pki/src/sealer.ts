import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { AppError } from '@lockstep/contract';

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const edgePrefix = 'edge_'; // no character of base64 is "_"
const variables = { 'control-planes': 'LOCKSTEP_SECRET_KEY', edges: 'LOCKSTEP_EDGE_KEY' };
const others = { 'control-planes': 'edges', edges: 'control-planes' } as const;
const howToGetEdgeKey = '`lockstep keygen --edge` prints it where LOCKSTEP_SECRET_KEY is set';
/** Before there were two keys, none was named. */
const earlierForm = /^v1\.[0-9a-f]{8}\./;
const canaryText = 'lockstep';
const canaryContext = 'canary';

/** Who may open what is sealed. Control planes have both keys, edges the edge key alone. */
export type KeyHolder = 'control-planes' | 'edges';

/** Seals text so that only who holds its key can read it, and only as the record it was sealed for. */
export interface Sealer<H extends KeyHolder = 'control-planes'> {
  readonly holder: H;
  /** Tells keys apart without telling anything of them. */
  readonly keyId: string;
  /** AES-256-GCM with `context` (the record's key, as `certificate/shop.example.com`) as additional data. */
  seal(plaintext: string, context: string): string;
  /** Throws `wrong_secret_key` for what was sealed with another key or for another record, or was altered. */
  open(sealed: string, context: string): string;
}

export interface Sealers {
  /** For what control planes alone need. */
  controlPlanes: Sealer;
  /** For what edges have to open. */
  edges: Sealer<'edges'>;
}

/** What a control plane seals with. Throws `bad_configuration` as `createSealer`. */
export function createSealers(secretKey: string): Sealers {
  return { controlPlanes: createSealer(secretKey), edges: createEdgeSealer(deriveEdgeKey(secretKey)) };
}

/** `secretKey`: 32 random bytes as base64. Throws `bad_configuration` for anything else. */
export function createSealer(secretKey: string): Sealer {
  return sealerOf('control-planes', readSecretKeyBytes(secretKey));
}

/** `edgeKey`: as `deriveEdgeKey` makes it. Throws `bad_configuration` for anything else, the secret key too. */
export function createEdgeSealer(edgeKey: string): Sealer<'edges'> {
  const text = edgeKey.trim();
  if (!text.startsWith(edgePrefix)) {
    const what = readBytes(text) === null ? 'is no edge key' : 'is the secret key, which edges must not have';
    throw new AppError('bad_configuration', `LOCKSTEP_EDGE_KEY ${what}; ${howToGetEdgeKey}`);
  }
  const key = readBytes(text.slice(edgePrefix.length));
  if (key === null)
    throw new AppError('bad_configuration', `LOCKSTEP_EDGE_KEY is not whole; ${howToGetEdgeKey}`);
  return sealerOf('edges', key);
}

/** The key of edges: HKDF-SHA256 (RFC 5869) of the secret key, which cannot be told from it. Throws as `createSealer`. */
export function deriveEdgeKey(secretKey: string): string {
  const key = hkdfSync('sha256', readSecretKeyBytes(secretKey), '', 'lockstep edge key v1', keyBytes);
  return edgePrefix + Buffer.from(key).toString('base64');
}

function readSecretKeyBytes(secretKey: string): Buffer {
  if (secretKey.trim().startsWith(edgePrefix)) {
    throw new AppError(
      'bad_configuration',
      'the secret key is an edge key, which is for edges alone (LOCKSTEP_EDGE_KEY); LOCKSTEP_SECRET_KEY takes the key that it was derived from, which `lockstep keygen` made',
    );
  }
  const key = readBytes(secretKey);
  if (key === null) {
    throw new AppError(
      'bad_configuration',
      'the secret key is not 32 bytes as base64; `lockstep keygen` makes one',
    );
  }
  return key;
}

function readBytes(text: string): Buffer | null {
  const key = Buffer.from(text, 'base64');
  const written = key.toString('base64').replace(/=+$/, '') === text.trim().replace(/=+$/, '');
  return key.length === keyBytes && written ? key : null;
}

function sealerOf<H extends KeyHolder>(holder: H, key: Buffer): Sealer<H> {
  const keyId = createHash('sha256').update('lockstep key id').update(key).digest('hex').slice(0, 8);
  const prefix = `v1.${holder}.${keyId}.`;
  return {
    holder,
    keyId,
    seal(plaintext, context) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
      const sealed = Buffer.concat([
        nonce,
        cipher.update(plaintext, 'utf8'),
        cipher.final(),
        cipher.getAuthTag(),
      ]);
      return prefix + sealed.toString('base64url');
    },
    open(sealed, context) {
      if (!sealed.startsWith(prefix)) {
        const why = earlierForm.test(sealed)
          ? 'was sealed by an earlier revision of Lockstep, of which nothing is carried over'
          : sealed.startsWith(`v1.${others[holder]}.`)
            ? `was sealed for ${others[holder].replace('-', ' ')} alone, which ${variables[holder]} does not open`
            : `was sealed with another key than ${variables[holder]} (${keyId})`;
        throw new AppError('wrong_secret_key', `${context} ${why}`);
      }
      const bytes = Buffer.from(sealed.slice(prefix.length), 'base64url');
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceBytes), {
          authTagLength: tagBytes,
        })
          .setAAD(Buffer.from(context))
          .setAuthTag(bytes.subarray(-tagBytes));
        return (
          decipher.update(bytes.subarray(nonceBytes, -tagBytes), undefined, 'utf8') + decipher.final('utf8')
        );
      } catch (cause) {
        throw new AppError(
          'wrong_secret_key',
          `${context} cannot be opened: it was altered, or sealed as another record`,
          { cause },
        );
      }
    },
  };
}

/** A new secret key, as `createSealer` takes it. */
export function generateSecretKey(): string {
  return randomBytes(keyBytes).toString('base64');
}

/** The ids of the canaries in the store, one for each key. */
export const canaryIds = { 'control-planes': 'canary', edges: 'edges' } as const;

/** A known text, sealed: kept beside sealed records so that a wrong key is found before it is used. */
export function sealCanary(sealer: Sealer<KeyHolder>): string {
  return sealer.seal(canaryText, canaryContext);
}

/** Throws `wrong_secret_key` unless the canary was sealed with this key, and `bad_configuration` for one of an earlier form. */
export function checkCanary(sealer: Sealer<KeyHolder>, sealed: string): void {
  if (earlierForm.test(sealed)) {
    throw new AppError(
      'bad_configuration',
      'the store was made by an earlier revision of Lockstep, of which nothing is carried over; begin with an empty one: another --store-prefix, or, of `lockstep up`, another --data-dir',
    );
  }
  try {
    if (sealer.open(sealed, canaryContext) === canaryText) return;
  } catch (cause) {
    throw new AppError(
      'wrong_secret_key',
      `${variables[sealer.holder]} is not the key that this fleet’s private keys are sealed with`,
      { cause },
    );
  }
  throw new AppError('wrong_secret_key', 'the canary holds something else than it should');
}
