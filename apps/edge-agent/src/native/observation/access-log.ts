import { closeSync, constants, openSync } from 'node:fs';
import type { AccessLog } from '@lockstep/contract';
import type { Logger } from 'pino';
import type { ExchangeWatch } from '../http/exchange-watch.ts';
import { createLogLine, type LogLine } from './log-line.ts';
import { tlsFactsOf } from './tls-facts.ts';

/** What waits for a disk, or for whoever reads the output; beyond, lines are dropped. */
const mostWaitingBytes = 4_194_304;
/** A pipe takes so much in one piece (PIPE_BUF): lines of several workers do not mix. */
const pieceBytes = 4_096;
const filePieceBytes = 65_536;
/** Lines are gathered for so long. */
const gatherMs = 200;
/** A worker that ends waits so long for a disk, or a reader, to take the last ones. */
const lastLinesMs = 500;

/** The part of pino's destination that is used here. */
export interface LineDestination {
  write(line: string): boolean;
  reopen(): void;
  end(): void;
  on(event: 'drop' | 'error' | 'close', listener: (what: unknown) => void): unknown;
}

export type OpenDestination = (options: {
  dest: string | number;
  sync: false;
  mkdir: false;
  append: true;
  mode: number;
  minLength: number;
  maxWrite: number;
  maxLength: number;
  periodicFlush: number;
}) => LineDestination;

export interface AccessLogOptions {
  node: string;
  log: Logger;
  open: OpenDestination;
}

/** A line for each answer that the settings ask for. Where they cannot be written they are counted, and nothing else happens. */
export interface AccessLogWriter {
  /** Null while nothing is to be written, as is the next. Keeps of a connection what is not told once it is gone. */
  readonly onRequest: ((watch: ExchangeWatch) => void) | null;
  readonly write: ((watch: ExchangeWatch, statusCode: number, now: number) => void) | null;
  readonly dropped: number;
  configure(settings: AccessLog | null): void;
  /** The file was renamed: what comes goes into a new one. */
  reopen(): void;
  /** Resolves when what was written is out, or after a moment. */
  close(): Promise<void>;
}

export function createAccessLog({ node, log, open }: AccessLogOptions): AccessLogWriter {
  let settings: AccessLog | null = null;
  let destination: LineDestination | null = null;
  let line: LogLine | null = null;
  let dropped = 0;
  let told = false;

  function onTrouble(error: unknown): void {
    if (!told) log.error({ err: error }, 'the access log cannot be written: lines are dropped');
    told = true;
  }

  /** Null where it cannot be opened now: by each reopening it is tried again. */
  function openAt(to: string): LineDestination | null {
    const isFile = to !== 'stdout';
    try {
      if (isFile) mustBeFile(to);
      const opened = open({
        dest: isFile ? to : 1,
        sync: false,
        mkdir: false,
        append: true,
        mode: 0o640,
        minLength: pieceBytes - 1,
        maxWrite: isFile ? filePieceBytes : pieceBytes,
        maxLength: mostWaitingBytes,
        periodicFlush: gatherMs,
      });
      opened.on('drop', () => {
        dropped += 1;
      });
      opened.on('error', onTrouble);
      told = false;
      return opened;
    } catch (error) {
      onTrouble(error);
      return null;
    }
  }

  function close(): Promise<void> {
    const ending = destination;
    destination = null;
    if (ending === null) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, lastLinesMs);
      ending.on('close', () => {
        clearTimeout(timer);
        resolve();
      });
      ending.end();
    });
  }

  function write(watch: ExchangeWatch, statusCode: number, now: number): void {
    const { sample, routes } = settings!;
    const share = (watch.route === null ? undefined : routes[watch.route.id]) ?? sample;
    if (share < 1 && Math.random() >= share) return;
    if (destination === null) dropped += 1;
    else destination.write(line!(watch, statusCode, now));
  }

  function onRequest({ request }: ExchangeWatch): void {
    tlsFactsOf(request);
  }

  return {
    get onRequest() {
      return settings === null ? null : onRequest;
    },
    get write() {
      return settings === null ? null : write;
    },
    get dropped() {
      return dropped;
    },
    configure(next) {
      if (next?.to !== settings?.to) {
        void close();
        if (next !== null) destination = openAt(next.to);
      }
      settings = next;
      line = next === null ? null : createLogLine({ ...next, node });
    },
    reopen() {
      if (settings === null || settings.to === 'stdout') return;
      if (destination === null) destination = openAt(settings.to);
      else destination.reopen();
    },
    close,
  };
}

/** Whatever else it could be, a pipe nobody reads or a link to somewhere else, would hold the worker up or write elsewhere. */
function mustBeFile(path: string): void {
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;
  closeSync(openSync(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0o640));
}
