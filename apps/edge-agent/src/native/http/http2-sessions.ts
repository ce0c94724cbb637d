import type { EventEmitter } from 'node:events';
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { EdgeSettings } from '@lockstep/contract';
import { linger } from '../../server/linger.ts';

/** So many streams a client may break off at once, and so many a second in the long run; browsers do, when one scrolls. */
const resetsAtOnce = 200;
const resetsPerSecond = 20;
/** A session that was told to end has this long to do so. */
const endWithinMs = 2_000;

export type SessionCut = 'idle' | 'resets' | 'no_preface';

export interface Http2SessionsOptions {
  /** The connection of the session that is being made. */
  socket(): Socket;
  timeouts(): EdgeSettings['timeouts'];
  onCut(reason: SessionCut): void;
}

/** The HTTP/2 sessions of a server, held to deadlines. */
export interface Http2Sessions {
  readonly count: number;
  /** Ends what is over its time. To be called about every second. */
  check(now: number): void;
  /** Tells all that this is the end; streams still open go on. */
  drain(): void;
  destroy(): void;
}

interface Held {
  session: ServerHttp2Session;
  socket: Socket;
  startedAt: number;
  /** The client has said that it speaks HTTP/2. */
  begun: boolean;
  streams: number;
  idleSince: number;
  closingSince: number | null;
  resets: number;
  resetsAt: number;
}

export function serveHttp2(server: EventEmitter, options: Http2SessionsOptions): Http2Sessions {
  const { timeouts, onCut } = options;
  const all = new Set<Held>();

  /** Ends a session. Node waits for what is still to be written; a client that does not read would keep it for ever. */
  function end({ session, socket }: Held, code: number): void {
    session.destroy(code as never);
    const timer = setTimeout(() => socket.destroy(), endWithinMs);
    socket.once('close', () => clearTimeout(timer));
  }

  function onReset(held: Held): void {
    const now = Date.now();
    held.resets = Math.max(0, held.resets - ((now - held.resetsAt) / 1_000) * resetsPerSecond) + 1;
    held.resetsAt = now;
    if (held.resets <= resetsAtOnce || held.session.destroyed) return;
    onCut('resets');
    end(held, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  server.on('session', (session: ServerHttp2Session) => {
    const now = Date.now();
    const held: Held = {
      session,
      socket: options.socket(),
      startedAt: now,
      begun: false,
      streams: 0,
      idleSince: now,
      closingSince: null,
      resets: 0,
      resetsAt: now,
    };
    all.add(held);
    session.on('close', () => {
      all.delete(held);
      // Or does not end its side.
      linger(held.socket);
    });
    session.on('error', () => end(held, constants.NGHTTP2_NO_ERROR));
    session.on('remoteSettings', () => {
      held.begun = true;
    });
    session.on('stream', (stream: ServerHttp2Stream) => {
      held.streams += 1;
      stream.on('close', () => {
        held.streams -= 1;
        if (held.streams === 0) held.idleSince = Date.now();
        // The edge itself breaks off with INTERNAL_ERROR, an answer that has begun.
        const own = stream.rstCode === constants.NGHTTP2_INTERNAL_ERROR && stream.headersSent;
        if (stream.aborted && !own) onReset(held);
      });
    });
  });
  server.on('sessionError', () => {});

  function close(held: Held, now: number): void {
    held.closingSince = now;
    held.session.close();
  }

  return {
    get count() {
      return all.size;
    },
    check(now) {
      const { headMs, keepAliveMs } = timeouts();
      for (const held of all) {
        // PINGs and heads that never end are no requests.
        if (held.streams > 0) continue;
        if (held.closingSince !== null) {
          if (now - held.closingSince > endWithinMs) end(held, constants.NGHTTP2_NO_ERROR);
        } else if (!held.begun && now - held.startedAt > headMs) {
          onCut('no_preface');
          end(held, constants.NGHTTP2_NO_ERROR);
        } else if (now - held.idleSince > keepAliveMs) {
          onCut('idle');
          close(held, now);
        }
      }
    },
    drain() {
      const now = Date.now();
      for (const held of all) close(held, now);
    },
    destroy() {
      for (const { session } of all) session.destroy();
    },
  };
}
