import type { OnReadOpts, Socket } from 'node:net';

/** Takes what a socket has read. What it keeps of a chunk it copies, unless the chunk is of a slab; gives what to read into next, if that is to be another. */
export type TakeChunk = (chunk: Buffer, slab: Slab | null) => Uint8Array | undefined;

/** At a socket: who takes what it reads. */
export const reader = Symbol('reader');

export type Reading = Socket & { [reader]?: TakeChunk | undefined };

const slabBytes = 65_536;
/** More are left to the collector. */
const mostSpare = 32;
const spare: Slab[] = [];
const byBytes = new WeakMap<Uint8Array, Slab>();

/** Memory for what is read of a large body, used again once it was written: new memory with each read keeps the collector busy. */
export class Slab {
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(slabBytes);

  constructor() {
    byBytes.set(this.bytes, this);
  }

  /** To be called once nobody uses it any more, as the callback of a write. After an error that is not certain. */
  readonly release = (error?: Error | null): void => {
    if ((error === undefined || error === null) && spare.length < mostSpare) spare.push(this);
  };
}

export function takeSlab(): Slab {
  return spare.pop() ?? new Slab();
}

/** A body as large as a slab comes with its head in one read. */
const headRoomBytes = 8_192;
/** What all sockets read into that do not just receive a large body. */
export const sharedBytes: Buffer = Buffer.allocUnsafeSlow(slabBytes + headRoomBytes);

let asked = false;
let next: Uint8Array | undefined;

/**
 * How plain connections to upstreams read: into one buffer that all of them share, or into slabs, for memory that is new with each read costs more
 * than what is read. Without a reader the socket is a stream like others.
 */
export const sharedRead: OnReadOpts = {
  // Node asks when it makes a socket, and behind each read.
  buffer: (): Uint8Array => {
    if (!asked) return sharedBytes;
    asked = false;
    return next as Uint8Array;
  },
  callback: function (this: Reading, count: number, bytes: Buffer): boolean {
    const chunk = bytes.subarray(0, count);
    const take = this[reader];
    let goOn = true;
    if (take === undefined) {
      goOn = this.push(Buffer.from(chunk));
      next = bytes === sharedBytes ? undefined : sharedBytes;
    } else next = take(chunk, bytes === sharedBytes ? null : (byBytes.get(bytes) ?? null));
    asked = true;
    return goOn;
  } as OnReadOpts['callback'],
};
