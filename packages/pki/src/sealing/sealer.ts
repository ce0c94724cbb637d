import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { AppError } from '@lockstep/contract';
import { deriveEdgeKey, readEdgeKeys, readSecretKeys } from './keys.ts';

const nonceBytes = 12;
const tagBytes = 16;
export const keyVariables = { 'control-planes': 'LOCKSTEP_SECRET_KEY', edges: 'LOCKSTEP_EDGE_KEY' };
const others = { 'control-planes': 'edges', edges: 'control-planes' } as const;
/** Before there were two keys, none was named. */
export const earlierForm = /^v1\.[0-9a-f]{8}\./;

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

/** The id of the key that a text was sealed with; null for a text that was not sealed. */
export function keyIdOf(sealed: string): string | null {
  return /^v1\.(?:control-planes|edges)\.([0-9a-f]{8})\./.exec(sealed)?.[1] ?? null;
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
      const why = `was sealed for ${other.replace('-', ' ')} alone, which ${keyVariables[holder]} does not open`;
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
  const detail = `${what} sealed with the key ${keyId}, which is not in ${keyVariables[holder]} (it holds ${keyIds.join(', ')})`;
  return new AppError('wrong_secret_key', detail);
}
