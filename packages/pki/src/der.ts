/**
 * The few pieces of DER (X.690) that certificates and requests are made of. Only to write, and to take apart what OpenSSL has
 * already accepted.
 */
export const der = {
  sequence: (...parts: Buffer[]) => encode(0x30, ...parts),
  set: (...parts: Buffer[]) => encode(0x31, ...parts),
  boolean: (value: boolean) => encode(0x01, Buffer.of(value ? 0xff : 0)),
  /** `bytes`: big-endian, not negative, no longer than needed. */
  integer: (bytes: Buffer) => encode(0x02, bytes),
  bitString: (bytes: Buffer, unusedBits = 0) => encode(0x03, Buffer.of(unusedBits), bytes),
  octetString: (...parts: Buffer[]) => encode(0x04, ...parts),
  utf8String: (text: string) => encode(0x0c, Buffer.from(text)),
  objectIdentifier,
  time,
  /** [n] around the value itself (EXPLICIT, or a constructed IMPLICIT). */
  tagged: (n: number, ...parts: Buffer[]) => encode(0xa0 | n, ...parts),
  /** [n] in place of a primitive's own tag (IMPLICIT). */
  implicit: (n: number, content: Buffer) => encode(0x80 | n, content),
};

export interface DerValue {
  tag: number;
  content: Buffer;
  /** With tag and length. */
  raw: Buffer;
}

/** The values that stand one after another in `bytes`. */
export function readDer(bytes: Buffer): DerValue[] {
  const values: DerValue[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes.readUInt8(at);
    const first = bytes.readUInt8(at + 1);
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
    const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes);
    const start = at + 2 + lengthBytes;
    const end = start + length;
    if (end > bytes.length) throw new RangeError('DER value ends after its surroundings');
    values.push({ tag, content: bytes.subarray(start, end), raw: bytes.subarray(at, end) });
    at = end;
  }
  return values;
}

function encode(tag: number, ...parts: Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const head =
    length < 0x80
      ? Buffer.of(tag, length)
      : length < 0x100
        ? Buffer.of(tag, 0x81, length)
        : Buffer.of(tag, 0x82, length >> 8, length & 0xff);
  if (length > 0xffff) throw new RangeError('DER value over 64 KiB');
  return Buffer.concat([head, ...parts]);
}

function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const digits = [arc & 0x7f];
    for (let left = arc >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80);
    return digits;
  });
  return encode(0x06, Buffer.from(bytes));
}

/** UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280, section 4.1.2.5). */
function time(ms: number): Buffer {
  const date = new Date(ms);
  const digits = `${date.toISOString().slice(0, 19).replaceAll(/\D/g, '')}Z`;
  return date.getUTCFullYear() < 2050
    ? encode(0x17, Buffer.from(digits.slice(2)))
    : encode(0x18, Buffer.from(digits));
}
