import type { Socket } from 'node:net';

type Written = (error?: NodeJS.ErrnoException | null) => void;

/** The other end reads no more. */
const unread = new Set(['EPIPE', 'ECONNRESET']);
const key = Symbol('readOn');

type Kept = Socket & { [key]?: ReadOn };

/**
 * An upstream may answer before it has read a body, and close over the rest of it: the write that fails is then known before what was said is read, and
 * Node would give the connection up with it. While a body is sent such a write never ends, so that nothing more is written, and the connection is read
 * to its end, which is there already: what came before a reset can still be read.
 */
class ReadOn {
  sending = false;
  /** The write that failed. Where no answer was complete before the end, it broke off. */
  lost: Error | null = null;
  readonly #socket: Socket;
  /** Nothing of the request went out yet: an answer would be to another. */
  #first = true;
  #written: Written | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    const { _write, _writev } = socket;
    socket._write = (chunk, encoding, written) => {
      this.#written = written;
      _write.call(socket, chunk, encoding, this.#onWritten);
      this.#first = false;
    };
    // Corked writes go out as one.
    socket._writev = (chunks, written) => {
      this.#written = written;
      _writev!.call(socket, chunks, this.#onWritten);
      this.#first = false;
    };
  }

  begin(): void {
    this.sending = true;
    this.#first = true;
  }

  end(): void {
    this.sending = false;
    if (this.lost !== null) this.#written!(this.lost);
  }

  #onWritten: Written = (error) => {
    if (error && this.sending && !this.#first && unread.has(error.code!) && !this.#socket.readableEnded)
      this.lost = error;
    else this.#written!(error);
  };
}

/** To be called before the head of a request with a body is written. */
export function beginBody(socket: Kept): void {
  socket[key] ??= new ReadOn(socket);
  socket[key].begin();
}

/** Writes fail at once again. */
export function endBody(socket: Kept): void {
  if (socket[key]?.sending) socket[key].end();
}

/** Why what was sent did not get there; null while it does. */
export function lostWrite(socket: Kept): Error | null {
  return socket[key]?.lost ?? null;
}
