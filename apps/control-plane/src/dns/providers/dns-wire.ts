export const dnsType = { SOA: 6, TXT: 16, TSIG: 250 } as const;
export const dnsClass = { IN: 1, NONE: 254, ANY: 255 } as const;

/** In lower case and without compression: the canonical form, which TSIG digests (RFC 8945, section 4.3.3). */
export function encodeName(name: string): Buffer {
  const labels = name
    .toLowerCase()
    .replace(/\.$/, '')
    .split('.')
    .filter((label) => label !== '');
  return Buffer.concat([
    ...labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label, 'latin1')]),
    Buffer.from([0]),
  ]);
}

/** Where the name that begins at `offset` ends. */
export function skipName(message: Buffer, offset: number): number {
  for (let at = offset; ; ) {
    const length = message.readUInt8(at);
    if (length === 0) return at + 1;
    // A pointer ends a name (RFC 1035, section 4.1.4).
    if (length >= 0xc0) return at + 2;
    at += 1 + length;
  }
}

export interface WireRecord {
  start: number;
  type: number;
  data: Buffer;
}

/** The last record of a message, where TSIG has to be; null for a message without records. Throws RangeError for a message cut short. */
export function lastRecord(message: Buffer): WireRecord | null {
  let at = 12;
  for (let left = message.readUInt16BE(4); left > 0; left--) at = skipName(message, at) + 4;
  const count = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10);
  let last: WireRecord | null = null;
  for (let left = count; left > 0; left--) {
    const start = at;
    const fixed = skipName(message, at);
    const end = fixed + 10 + message.readUInt16BE(fixed + 8);
    if (end > message.length) throw new RangeError('the message is cut short');
    last = { start, type: message.readUInt16BE(fixed), data: message.subarray(fixed + 10, end) };
    at = end;
  }
  return last;
}

export function uint16(...values: number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 2);
  for (const [index, value] of values.entries()) buffer.writeUInt16BE(value, index * 2);
  return buffer;
}

export function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}

export function uint48(value: number): Buffer {
  const buffer = Buffer.alloc(6);
  buffer.writeUIntBE(value, 0, 6);
  return buffer;
}
