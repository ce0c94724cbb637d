/** One DER element (ITU-T X.690, section 10.1): the tag, the length in its shortest form, the contents. */
export function der(tag: number, ...contents: Uint8Array[]): Buffer {
  const length = contents.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return Buffer.concat([Uint8Array.of(tag, ...lengthOctets(length)), ...contents]);
}

export const sequence = (...contents: Uint8Array[]) => der(0x30, ...contents);
export const octetString = (...contents: Uint8Array[]) => der(0x04, ...contents);
/** Of whole octets. */
export const bitString = (contents: Uint8Array) => der(0x03, Uint8Array.of(0), contents);
/** `bytes` in two's complement: the first bit of a positive number is 0. */
export const integer = (bytes: Uint8Array) => der(0x02, bytes);
export const boolean = (value: boolean) => der(0x01, Uint8Array.of(value ? 0xff : 0));
/** By its content octets in hexadecimal. */
export const objectIdentifier = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
export const explicit = (number: number, contents: Uint8Array) => der(0xa0 + number, contents);

/** UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5280, section 4.1.2.5); fractions of a second are left out. */
export function time(ms: number): Buffer {
  const text = `${new Date(ms).toISOString().slice(0, 19).replace(/[-T:]/g, '')}Z`;
  return text < '2050' ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text));
}

/** The elements within the element at the beginning of `bytes`, each with its tag and length. */
export function elementsOf(bytes: Buffer): Buffer[] {
  const { from, to } = contentsOf(bytes);
  const elements: Buffer[] = [];
  for (let at = from; at < to; ) {
    const rest = bytes.subarray(at, to);
    const element = rest.subarray(0, contentsOf(rest).to);
    elements.push(element);
    at += element.byteLength;
  }
  return elements;
}

/** Where the contents of the element at the beginning of `bytes` lie. */
export function contentsOf(bytes: Buffer): { from: number; to: number } {
  const first = bytes[1] ?? 0;
  if (first < 0x80) return { from: 2, to: 2 + first };
  const from = 2 + first - 0x80;
  return { from, to: from + bytes.readUIntBE(2, first - 0x80) };
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length];
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return [0x80 + octets.length, ...octets];
}
