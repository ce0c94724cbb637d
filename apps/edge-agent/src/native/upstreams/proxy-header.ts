import { isIPv4, isIPv6 } from 'node:net';

/** Both ends of a client's connection, as an upstream is told of them. */
export interface ClientEnds {
  sourceAddress: string;
  sourcePort: number;
  targetAddress: string;
  targetPort: number;
}

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

/**
 * What a connection begins with by HAProxy's PROXY protocol, in its first version (text) or its second. Where the ends are not of one
 * family the version has no way to tell them, and says that they are not known.
 */
export function proxyHeader(version: 1 | 2, ends: ClientEnds): Buffer {
  const { sourceAddress, sourcePort, targetAddress, targetPort } = ends;
  const v4 = isIPv4(sourceAddress) && isIPv4(targetAddress);
  const known = v4 || (isIPv6(sourceAddress) && isIPv6(targetAddress));
  if (version === 1) {
    if (!known) return Buffer.from('PROXY UNKNOWN\r\n');
    const family = v4 ? 'TCP4' : 'TCP6';
    return Buffer.from(`PROXY ${family} ${sourceAddress} ${targetAddress} ${sourcePort} ${targetPort}\r\n`);
  }
  const addresses = known ? [bytesOf(sourceAddress), bytesOf(targetAddress)] : [];
  const ports = Buffer.alloc(known ? 4 : 0);
  if (known) {
    ports.writeUInt16BE(sourcePort, 0);
    ports.writeUInt16BE(targetPort, 2);
  }
  const body = Buffer.concat([...addresses, ports]);
  const head = Buffer.alloc(4);
  head[0] = known ? 0x21 : 0x20; // version 2; PROXY, or LOCAL where there is nothing to tell
  head[1] = known ? (v4 ? 0x11 : 0x21) : 0x00;
  head.writeUInt16BE(body.length, 2);
  return Buffer.concat([signature, head, body]);
}

function bytesOf(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  // The last two groups may be written as IPv4.
  const plain = address.replace(/%.*$/, '').replace(/\d+\.\d+\.\d+\.\d+$/, (v4) => {
    const [a, b, c, d] = v4.split('.').map(Number) as [number, number, number, number];
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [before = '', after] = plain.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const [head, tail] = [groups(before), groups(after ?? '')];
  const zeros = after === undefined ? 0 : 8 - head.length - tail.length;
  const all = [...head, ...Array.from({ length: zeros }, () => '0'), ...tail];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}
