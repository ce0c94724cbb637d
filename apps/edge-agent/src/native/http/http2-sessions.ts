import type { EventEmitter } from 'node:events';
import {
  constants,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { EdgeSettings } from '@lockstep/contract';
import { ClientStream, type StreamConnection } from '../../server/client-stream.ts';
import { linger } from '../../server/linger.ts';

/** So many streams a client may break off at once, and so many a second in the long run; browsers do, when one scrolls. */
const resetsAtOnce = 200;
const resetsPerSecond = 20;
/**
 * After so many of late, a stream is looked at a moment later: one that is broken off at once then costs no upstream anything. A request
 * that is, costs a hundred times its client's effort (CVE-2023-44487).
 */
const resetsBeforePause = 20;
const pausedForMs = 25;
const forgivenAfterMs = 1_000;
/** A session that was told to end has this long to do so. */
const endWithinMs = 2_000;
const lastOfAllStreams = 2 ** 31 - 1;

export type SessionCut = 'idle' | 'resets' | 'no_preface';

export interface Http2SessionsOptions {
  /** The connection of the session that is being made. */
  socket(): TLSSocket;
  timeouts(): EdgeSettings['timeouts'];
  onCut(reason: SessionCut, socket: TLSSocket): void;
  /** Takes each request. A request that is likely to be broken off at once is looked at a moment later. */
  onRequest(client: ClientStream): void;
}

/** The HTTP/2 sessions of a server, held to deadlines. */
export interface Http2Sessions {
  readonly count: number;
  /** Ends what is over its time. To be called about every second. */
  check(now: number): void;
  /** While drained, sessions end: open streams go on, and each session that comes serves what it came for. */
  setDrained(drained: boolean): void;
  destroy(): void;
}

interface Held extends StreamConnection {
  session: ServerHttp2Session;
  startedAt: number;
  /** The client has said that it speaks HTTP/2. */
  begun: boolean;
  streams: number;
  idleSince: number;
  closingSince: number | null;
  /** When it was told that its end comes; what the client sends until it knows is still answered. */
  warnedSince: number | null;
  resets: number;
  resetsAt: number;
}

export function serveHttp2(server: EventEmitter, options: Http2SessionsOptions): Http2Sessions {
  const { timeouts, onCut, onRequest } = options;
  const all = new Map<ServerHttp2Session, Held>();
  let lastResetsAt = 0;
  let drained = false;

  /** Ends a session. Node waits for what is still to be written; a client that does not read would keep it for ever. */
  function end({ session, socket }: Held, code: number): void {
    session.destroy(code as never);
    const timer = setTimeout(() => socket.destroy(), endWithinMs);
    socket.once('close', () => clearTimeout(timer));
  }

  function onReset(held: Held): void {
    const now = Date.now();
    lastResetsAt = now;
    held.resets = Math.max(0, held.resets - ((now - held.resetsAt) / 1_000) * resetsPerSecond) + 1;
    held.resetsAt = now;
    if (held.resets <= resetsAtOnce || held.session.destroyed) return;
    onCut('resets', held.socket);
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
      warnedSince: null,
      resets: 0,
      resetsAt: now,
      onStreamClosed: (stream) => onStreamClosed(held, stream),
    };
    all.set(session, held);
    session.on('close', () => {
      all.delete(session);
      // Or does not end its side.
      linger(held.socket);
    });
    session.on('error', () => end(held, constants.NGHTTP2_NO_ERROR));
    session.on('remoteSettings', () => {
      held.begun = true;
    });
    // Node's own tells the server, where nobody listens.
    session.removeAllListeners('stream');
    session.on('stream', ((
      stream: ServerHttp2Stream,
      headers: IncomingHttpHeaders,
      _flags: number,
      rawHeaders: string[],
    ) => {
      held.streams += 1;
      const client = new ClientStream(held, stream, headers, rawHeaders);
      const pauseMs = lastResetsAt === 0 ? 0 : pauseFor(held);
      if (pauseMs === 0) onRequest(client);
      else setTimeout(() => client.destroyed || onRequest(client), pauseMs);
    }) as never);
  });

  function onStreamClosed(held: Held, stream: ServerHttp2Stream): void {
    held.streams -= 1;
    if (held.streams === 0) {
      held.idleSince = Date.now();
      if (drained) warn(held);
    }
    // The edge itself breaks off with INTERNAL_ERROR, an answer that has begun.
    const own = stream.rstCode === constants.NGHTTP2_INTERNAL_ERROR && stream.headersSent;
    if (stream.aborted && !own) onReset(held);
  }

  /** How long a request should not be looked at yet: it may be broken off by then. 0 but for sessions known for that. */
  function pauseFor(held: Held): number {
    const now = Date.now();
    if (now - lastResetsAt > forgivenAfterMs) return 0;
    return held.resets > resetsBeforePause && now - held.resetsAt < forgivenAfterMs ? pausedForMs : 0;
  }

  server.on('sessionError', () => {});

  /** RFC 9113, section 6.8: a first GOAWAY refuses nothing, so that the second one finds no stream on its way. */
  function warn(held: Held): void {
    const { session } = held;
    if (held.warnedSince !== null || held.closingSince !== null || session.destroyed) return;
    held.warnedSince = Date.now();
    session.goaway(constants.NGHTTP2_NO_ERROR, lastOfAllStreams);
    // Its answer comes after all that the client sent before it knew.
    session.ping(() => close(held, Date.now()));
  }

  function close(held: Held, now: number): void {
    if (held.closingSince !== null || held.session.destroyed) return;
    held.closingSince = now;
    held.session.close();
  }

  return {
    get count() {
      return all.size;
    },
    check(now) {
      const { headMs, keepAliveMs } = timeouts();
      for (const held of all.values()) {
        if (held.warnedSince !== null && now - held.warnedSince > endWithinMs) close(held, now);
        // PINGs and heads that never end are no requests.
        if (held.streams > 0) continue;
        if (held.closingSince !== null) {
          if (now - held.closingSince > endWithinMs) end(held, constants.NGHTTP2_NO_ERROR);
        } else if (!held.begun && now - held.startedAt > headMs) {
          onCut('no_preface', held.socket);
          end(held, constants.NGHTTP2_NO_ERROR);
        } else if (now - held.idleSince > keepAliveMs) {
          onCut('idle', held.socket);
          close(held, now);
        }
      }
    },
    setDrained(now) {
      drained = now;
      if (drained) for (const held of all.values()) warn(held);
    },
    destroy() {
      for (const session of all.keys()) session.destroy();
    },
  };
}
