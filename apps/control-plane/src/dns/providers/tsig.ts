import { createHmac, timingSafeEqual } from 'node:crypto';
import { dnsClass, dnsType, encodeName, lastRecord, skipName, uint16, uint32, uint48 } from './dns-wire.ts';

export interface TsigKey {
  name: string;
  algorithm: 'hmac-sha256' | 'hmac-sha384' | 'hmac-sha512';
  secret: Buffer;
}

const fudgeSeconds = 300;

export const serverFailed = 'the server failed (SERVFAIL)';
const responseCodes: Record<number, string> = {
  1: 'the server could not read the update (FORMERR)',
  2: serverFailed,
  4: 'the server does not do updates (NOTIMP)',
  5: 'the server refuses the update; may this key change this record? (REFUSED)',
  9: 'the server is not the primary of the zone (NOTAUTH)',
  10: 'the server says that the name is not in the zone (NOTZONE)',
};

/** RFC 8945, section 3. */
const tsigErrors: Record<number, string> = {
  16: "the secret is not the server's, or the algorithm differs (BADSIG)",
  17: 'the server does not know the key by this name and algorithm (BADKEY)',
  18: 'the clocks differ (BADTIME)',
  22: 'the server wants a longer signature (BADTRUNC)',
};

/** The message with its TSIG record, and the MAC, which the answer's covers (RFC 8945, section 5.1). `now` in milliseconds. */
export function signMessage(message: Buffer, key: TsigKey, now: number): { message: Buffer; mac: Buffer } {
  const timeSigned = uint48(Math.floor(now / 1000));
  const mac = digest(key, [
    message,
    variables(key, { timeSigned, fudge: fudgeSeconds, error: 0, other: noBytes }),
  ]);
  const data = Buffer.concat([
    encodeName(key.algorithm),
    timeSigned,
    uint16(fudgeSeconds, mac.length),
    mac,
    message.subarray(0, 2),
    uint16(0, 0),
  ]);
  const signed = Buffer.concat([
    message,
    encodeName(key.name),
    uint16(dnsType.TSIG, dnsClass.ANY),
    uint32(0),
    uint16(data.length),
    data,
  ]);
  signed.writeUInt16BE(message.readUInt16BE(10) + 1, 10);
  return { message: signed, mac };
}

export interface TsigAnswer {
  answer: Buffer;
  key: TsigKey;
  request: Buffer;
  requestMac: Buffer;
  now: number;
}

/** null: the server has done it, and signed that it has. Otherwise what is wrong. */
export function verifyAnswer(input: TsigAnswer): string | null {
  try {
    return examine(input);
  } catch (error) {
    if (error instanceof RangeError) return 'the answer is no DNS message';
    throw error;
  }
}

function examine({ answer, key, request, requestMac, now }: TsigAnswer): string | null {
  const isAnswer = (answer.readUInt8(2) & 0x80) !== 0;
  if (!isAnswer || answer.readUInt16BE(0) !== request.readUInt16BE(0))
    return 'the answer is to something else';
  const code = answer.readUInt8(3) & 0x0f;
  const refusal =
    code === 0 ? null : (responseCodes[code] ?? `the server answered with response code ${code}`);
  const record = lastRecord(answer);
  // Without a signature a refusal proves nothing, but neither is anything done.
  if (record?.type !== dnsType.TSIG) return refusal ?? 'the answer is not signed';

  const tsig = readTsig(record.data);
  if (tsig.error !== 0) return tsigErrors[tsig.error] ?? `the server answered with TSIG error ${tsig.error}`;
  const unsigned = Buffer.from(answer.subarray(0, record.start));
  unsigned.writeUInt16BE(answer.readUInt16BE(10) - 1, 10);
  tsig.originalId.copy(unsigned);
  const expected = digest(key, [uint16(requestMac.length), requestMac, unsigned, variables(key, tsig)]);
  if (tsig.mac.length !== expected.length || !timingSafeEqual(tsig.mac, expected)) {
    return "the answer's signature does not fit";
  }
  if (Math.abs(now / 1000 - tsig.timeSigned.readUIntBE(0, 6)) > tsig.fudge) {
    return 'the clocks differ: the answer was signed at another time';
  }
  return refusal;
}

function readTsig(data: Buffer) {
  const at = skipName(data, 0);
  const macEnd = at + 10 + data.readUInt16BE(at + 8);
  const otherEnd = macEnd + 6 + data.readUInt16BE(macEnd + 4);
  return {
    timeSigned: data.subarray(at, at + 6),
    fudge: data.readUInt16BE(at + 6),
    mac: data.subarray(at + 10, macEnd),
    originalId: data.subarray(macEnd, macEnd + 2),
    error: data.readUInt16BE(macEnd + 2),
    other: data.subarray(macEnd + 6, otherEnd),
  };
}

interface Variables {
  timeSigned: Buffer;
  fudge: number;
  error: number;
  other: Buffer;
}

const noBytes = Buffer.alloc(0);

/** RFC 8945, section 4.3.3. */
function variables(key: TsigKey, { timeSigned, fudge, error, other }: Variables): Buffer {
  return Buffer.concat([
    encodeName(key.name),
    uint16(dnsClass.ANY),
    uint32(0),
    encodeName(key.algorithm),
    timeSigned,
    uint16(fudge, error, other.length),
    other,
  ]);
}

function digest({ algorithm, secret }: TsigKey, parts: Buffer[]): Buffer {
  const hmac = createHmac(algorithm.replace('hmac-', ''), secret);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}
