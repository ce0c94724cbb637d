import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';

const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
const idLength = 12;
const secretBytes = 32;

/** What a token is made of: `lks_`, its id, by which it is found, and 256 random bits, by which it is known. */
const form = new RegExp(`^lks_([a-z0-9]{${idLength}})_[A-Za-z0-9_-]{43}$`);

export interface MadeToken {
  id: string;
  text: string;
}

export function makeToken(): MadeToken {
  const id = Array.from({ length: idLength }, () => letters[randomInt(letters.length)]).join('');
  return { id, text: `lks_${id}_${randomBytes(secretBytes).toString('base64url')}` };
}

/** The id in a token; null for what is none. */
export function idOfToken(text: string): string | null {
  return form.exec(text)?.[1] ?? null;
}

/** As records keep it. Without salt or cost: there is nothing to guess in 256 random bits. */
export function hashToken(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

export function isTokenOf(text: string, hash: string): boolean {
  const [given, kept] = [hashToken(text), hash].map((one) => Buffer.from(one, 'base64url'));
  return given?.length === kept?.length && timingSafeEqual(given as Buffer, kept as Buffer);
}
