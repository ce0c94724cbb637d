import { randomInt } from 'node:crypto';
import { dnsClass, dnsType, encodeName, uint16, uint32 } from './dns-wire.ts';

const opcodeUpdate = 5;
const ttlSeconds = 60;

export interface Update {
  zone: string;
  name: string;
  value: string;
  /** `add` leaves what is there; `delete` removes this value alone (RFC 2136, sections 2.5.1 and 2.5.4). */
  action: 'add' | 'delete';
}

/** An UPDATE message for one TXT record, unsigned. No npm library encodes one: dns-packet does not know the class NONE. */
export function encodeUpdate({ zone, name, value, action }: Update): Buffer {
  const adds = action === 'add';
  const data = encodeStrings(value);
  return Buffer.concat([
    uint16(randomInt(65_536), opcodeUpdate << 11),
    // ZOCOUNT, PRCOUNT, UPCOUNT, ADCOUNT
    uint16(1, 0, 1, 0),
    encodeName(zone),
    uint16(dnsType.SOA, dnsClass.IN),
    encodeName(name),
    uint16(dnsType.TXT, adds ? dnsClass.IN : dnsClass.NONE),
    uint32(adds ? ttlSeconds : 0),
    uint16(data.length),
    data,
  ]);
}

/** Character strings of up to 255 bytes (RFC 1035, section 3.3.14). */
function encodeStrings(value: string): Buffer {
  const bytes = Buffer.from(value);
  const parts: Buffer[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += 255) {
    const part = bytes.subarray(at, at + 255);
    parts.push(Buffer.from([part.length]), part);
  }
  return Buffer.concat(parts);
}
