import { isIPv4, isIPv6, SocketAddress } from 'node:net';

/** What comes before a connection's own bytes (PROXY protocol 1 and 2, section 2). */
export interface ProxyHeader {
  /** How long it is. */
  bytes: number;
  /** Whose connection it is; null: the proxy's own, or of somebody without an address. */
  client: string | null;
  /** The address that the client came to, where it is told whose the connection is. */
  reached: string | null;
}

const signature1 = Buffer.from('PROXY ');
const signature2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** Section 2.1, with its CRLF. */
const longest1 = 107;
/** Addresses, and whatever a proxy tells beside them. */
const longest2 = 4_096;
const head2 = 16;

/** `none`: no header begins so. `more`: it is not whole yet. `bad`: what began as one is none. */
export function readProxyHeader(bytes: Buffer): ProxyHeader | 'none' | 'more' | 'bad' {
  const is1 = beginsLike(bytes, signature1);
  const is2 = beginsLike(bytes, signature2);
  if (!is1 && !is2) return 'none';
  if (is1) return bytes.length < signature1.length ? 'more' : readText(bytes);
  return bytes.length < head2 ? 'more' : readBinary(bytes);
}

/** As far as there is something of both. */
function beginsLike(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.compare(signature, 0, length, 0, length) === 0;
}

function readText(bytes: Buffer): ProxyHeader | 'more' | 'bad' {
  const end = bytes.subarray(0, longest1).indexOf('\r\n');
  if (end === -1) return bytes.length < longest1 ? 'more' : 'bad';
  const header = { bytes: end + 2, client: null, reached: null };
  const words = bytes.toString('latin1', 0, end).split(' ');
  const [, family, source, target, sourcePort, targetPort] = words;
  // What follows it is not to be looked at.
  if (family === 'UNKNOWN') return header;
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : () => false;
  const isWhole = words.length === 6 && [source, target].every((one) => isAddress(one!));
  if (!isWhole || ![sourcePort, targetPort].every(isPort) || source!.includes('%')) return 'bad';
  const plain = (address: string) =>
    family === 'TCP6' ? new SocketAddress({ address, family: 'ipv6' }).address : address;
  return { ...header, client: plain(source!), reached: target!.includes('%') ? null : plain(target!) };
}

function isPort(text: string | undefined): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text!) && Number(text) <= 65_535;
}

function readBinary(bytes: Buffer): ProxyHeader | 'more' | 'bad' {
  const [version, command] = [bytes[12]! >> 4, bytes[12]! & 0x0f];
  const family = bytes[13]! >> 4;
  const length = bytes.readUInt16BE(14);
  if (version !== 2 || command > 1 || length > longest2) return 'bad';
  if (bytes.length < head2 + length) return 'more';
  const header = { bytes: head2 + length, client: null, reached: null };
  if (command === 0 || (family !== 1 && family !== 2)) return header;
  const [size, needed] = family === 1 ? [4, 12] : [16, 36];
  if (length < needed) return 'bad';
  const [client, reached] = [head2, head2 + size].map((at) => addressOf(bytes.subarray(at, at + size)));
  return { ...header, client: client!, reached: reached! };
}

function addressOf(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}
