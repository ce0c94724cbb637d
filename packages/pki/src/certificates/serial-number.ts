import { randomBytes } from 'node:crypto';

/** 127 random bits, positive and never zero (RFC 5280, section 4.1.2.2), in hexadecimal. */
export function createSerialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}
