import type { OnReadOpts, Socket } from 'node:net';

/** At a socket: who takes what it reads. */
export const reader = Symbol('reader');

export type Reading = Socket & { [reader]?: ((chunk: Buffer) => void) | undefined };

const bytes = Buffer.allocUnsafeSlow(65_536);

/**
 * How plain connections to upstreams read: into one buffer that all of them share, for memory that is new with each read costs more than what is
 * read. What a reader keeps of a chunk it has to copy. Without a reader the socket is a stream like others.
 */
export const sharedRead: OnReadOpts = {
  buffer: bytes,
  callback: function (this: Reading, count: number): boolean {
    const chunk = bytes.subarray(0, count);
    const take = this[reader];
    if (take === undefined) return this.push(Buffer.from(chunk));
    take(chunk);
    return true;
  } as OnReadOpts['callback'],
};
