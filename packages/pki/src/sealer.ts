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
  /** Of the key it seals with. An id tells keys apart without telling anything of them. */
  readonly keyId: string;
  /** Of all keys that it opens with, in the order in which they were given. */
  readonly keyIds: readonly string[];
  /** AES-256-GCM with `context` (the record's key, as `certificate/shop.example.com`) as additional data. */
  seal(plaintext: string, context: string): string;
  /** Throws `wrong_secret_key` for what was sealed with a key that it has not or for another record, or was altered. */
  open(sealed: string, context: string): string;
  /** Whether it was sealed with the key that this one seals with. */
  isCurrent(sealed: string): boolean;
  /** What was sealed with any of its keys, sealed with the one that it seals with. Throws as `open`. */
  sealAnew(sealed: string, context: string): string;
}

export interface Sealers {
  /** For what control planes alone need. */
  controlPlanes: Sealer;
  /** For what edges have to open. */
  edges: Sealer<'edges'>;
  /**
   * From now on both seal with this secret key, and with the edge key derived from it. Throws `wrong_secret_key` for one that was not
   * given.
   */
  sealWith(secretKeyId: string): void;
  /** Others with the same keys that seal with this one. Throws as `sealWith`. */
  sealingWith(secretKeyId: string): Sealers;
}

/** What a control plane seals with: at first the first of its keys. Throws `bad_configuration` as `createSealer`. */
export function createSealers(secretKeys: string): Sealers {
  const controlPlanes = sealerOf('control-planes', readSecretKeys(secretKeys));
  const edges = sealerOf('edges', readEdgeKeys(deriveEdgeKey(secretKeys)));
  return {
    controlPlanes,
    edges,
    sealingWith(secretKeyId) {
      const others = createSealers(secretKeys);
      others.sealWith(secretKeyId);
      return others;
    },
    sealWith(secretKeyId) {
      const at = controlPlanes.keyIds.indexOf(secretKeyId);
      if (at === -1) throw lacksKey('the store is', 'control-planes', secretKeyId, controlPlanes.keyIds);
      controlPlanes.sealWith(at);
      edges.sealWith(at);
    },
  };
}

/**
 * `secretKeys`: 32 random bytes as base64; several of them with commas or line ends between them, of which the first seals. Throws
 * `bad_configuration` for anything else.
 */
export function createSealer(secretKeys: string): Sealer {
  return sealerOf('control-planes', readSecretKeys(secretKeys));
}

/** `edgeKeys`: one or several, as `deriveEdgeKey` makes them. Throws `bad_configuration` for anything else, a secret key too. */
export function createEdgeSealer(edgeKeys: string): Sealer<'edges'> {
  return sealerOf('edges', readEdgeKeys(edgeKeys));
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

/** The id of the key that a text was sealed with; null for a text that was not sealed. */
export function keyIdOf(sealed: string): string | null {
  return /^v1\.(?:control-planes|edges)\.([0-9a-f]{8})\./.exec(sealed)?.[1] ?? null;
}

function readSecretKeys(secretKeys: string): Buffer[] {
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

function readEdgeKeys(edgeKeys: string): Buffer[] {
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

interface RingSealer<H extends KeyHolder> extends Sealer<H> {
  /** Seals with the key that was given at this place from now on. */
  sealWith(place: number): void;
}

function sealerOf<H extends KeyHolder>(holder: H, keys: readonly Buffer[]): RingSealer<H> {
  const ring = new Map(keys.map((key) => [prefixOf(holder, key), key]));
  const prefixes = keys.map((key) => prefixOf(holder, key));
  const keyIds = prefixes.map((prefix) => keyIdOf(prefix)!);
  let place = 0;

  function seal(plaintext: string, context: string): string {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', keys[place]!, nonce).setAAD(Buffer.from(context));
    const sealed = Buffer.concat([
      nonce,
      cipher.update(plaintext, 'utf8'),
      cipher.final(),
      cipher.getAuthTag(),
    ]);
    return prefixes[place]! + sealed.toString('base64url');
  }

  function open(sealed: string, context: string): string {
    const prefix = sealed.slice(0, prefixes[0]!.length);
    const key = ring.get(prefix);
    if (key === undefined) throw doesNotOpen(sealed, context);
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
  }

  function doesNotOpen(sealed: string, context: string): AppError {
    const other = others[holder];
    if (earlierForm.test(sealed)) {
      const why = 'was sealed by an earlier revision of Lockstep, of which nothing is carried over';
      return new AppError('wrong_secret_key', `${context} ${why}`);
    }
    if (sealed.startsWith(`v1.${other}.`)) {
      const why = `was sealed for ${other.replace('-', ' ')} alone, which ${variables[holder]} does not open`;
      return new AppError('wrong_secret_key', `${context} ${why}`);
    }
    return lacksKey(`${context} was`, holder, keyIdOf(sealed) ?? 'none', keyIds);
  }

  return {
    holder,
    get keyId() {
      return keyIds[place]!;
    },
    keyIds,
    seal,
    open,
    isCurrent: (sealed) => sealed.startsWith(prefixes[place]!),
    sealAnew: (sealed, context) => seal(open(sealed, context), context),
    sealWith(next) {
      place = next;
    },
  };
}

function prefixOf(holder: KeyHolder, key: Buffer): string {
  const keyId = createHash('sha256').update('lockstep key id').update(key).digest('hex').slice(0, 8);
  return `v1.${holder}.${keyId}.`;
}

function lacksKey(what: string, holder: KeyHolder, keyId: string, keyIds: readonly string[]): AppError {
  const detail = `${what} sealed with the key ${keyId}, which is not in ${variables[holder]} (it holds ${keyIds.join(', ')})`;
  return new AppError('wrong_secret_key', detail);
}

/** A new secret key, as `createSealer` takes it. */
export function generateSecretKey(): string {
  return randomBytes(keyBytes).toString('base64');
}

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
      `${variables[sealer.holder]} is not the key that this fleet’s private keys are sealed with: ${(cause as Error).message}`,
      { cause },
    );
  }
  throw new AppError('wrong_secret_key', 'the canary holds something else than it should');
}
