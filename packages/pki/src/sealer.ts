import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { AppError } from '@lockstep/contract';

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const canaryText = 'lockstep';
const canaryContext = 'canary';

/** Seals text so that only processes with the secret key can read it, and only as the record it was sealed for. */
export interface Sealer {
  /** Tells keys apart without telling anything of them. */
  readonly keyId: string;
  /** AES-256-GCM with `context` (the record's key, as `certificate/shop.example.com`) as additional data. */
  seal(plaintext: string, context: string): string;
  /** Throws `wrong_secret_key` for what was sealed with another key or for another record, or was altered. */
  open(sealed: string, context: string): string;
}

/** `secretKey`: 32 random bytes as base64. Throws `bad_configuration` for anything else. */
export function createSealer(secretKey: string): Sealer {
  const key = Buffer.from(secretKey, 'base64');
  if (
    key.length !== keyBytes ||
    key.toString('base64').replace(/=+$/, '') !== secretKey.trim().replace(/=+$/, '')
  ) {
    throw new AppError(
      'bad_configuration',
      'the secret key is not 32 bytes as base64; `lockstep keygen` makes one',
    );
  }
  const keyId = createHash('sha256').update('lockstep key id').update(key).digest('hex').slice(0, 8);
  const prefix = `v1.${keyId}.`;
  return {
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
        throw new AppError(
          'wrong_secret_key',
          `${context} was sealed with another key than LOCKSTEP_SECRET_KEY (${keyId})`,
        );
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

/** A known text, sealed: kept beside sealed records so that a wrong key is found before it is used. */
export function sealCanary(sealer: Sealer): string {
  return sealer.seal(canaryText, canaryContext);
}

/** Throws `wrong_secret_key` unless the canary was sealed with this key. */
export function checkCanary(sealer: Sealer, sealed: string): void {
  try {
    if (sealer.open(sealed, canaryContext) === canaryText) return;
  } catch (cause) {
    throw new AppError(
      'wrong_secret_key',
      'LOCKSTEP_SECRET_KEY is not the key that this fleet’s private keys are sealed with',
      { cause },
    );
  }
  throw new AppError('wrong_secret_key', 'the canary holds something else than it should');
}
