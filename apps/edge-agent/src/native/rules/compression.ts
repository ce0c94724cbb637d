import type { IncomingHttpHeaders } from 'node:http';
import type { Transform } from 'node:stream';
import type { BrotliOptions, ZlibOptions, ZstdOptions } from 'node:zlib';
import type { RouteRecord } from '@lockstep/contract';
import { type Coding, chooseCoding } from './accept-encoding.ts';
import { compileTypes } from './compressed-types.ts';
import type { BodyRule } from './rule.ts';

const zlib = process.getBuiltinModule('node:zlib');

const usualMinBytes = 1_024;
/** What has come is sent when nothing more has for so long: an answer that is made as it goes must not wait for the compressor's block to fill. */
const quietMs = 10;
/** Streams of a worker, each with up to 1 MB; beyond, answers are sent as they are. */
const mostAtOnce = 512;
/** Fields that are about the bytes as they were. */
const outdated = new Set([
  'content-length',
  'accept-ranges',
  'content-md5',
  'content-digest',
  'repr-digest',
  'digest',
]);

/** The compressing streams of a worker, of all its routes. */
export interface OpenStreams {
  open: number;
}

/** `compression` of a route. Answers that could be compressed say that they differ by Accept-Encoding, whatever this client takes. */
export function compileCompression(
  { compression }: RouteRecord,
  _route: string,
  { compressing }: { compressing: OpenStreams },
): BodyRule | null {
  if (compression === undefined || compression === false) return null;
  const { types, minBytes = usualMinBytes } = compression === true ? {} : compression;
  const compresses = compileTypes(types);
  return {
    through(head, { method }, client) {
      const { statusCode, fields } = head;
      if (statusCode === 304) weakenKnownTag(fields, client['if-none-match']);
      if (statusCode < 200 || bodiless.has(statusCode)) return null;
      const { type, length, isFixed } = readHead(fields);
      if (isFixed || length < Math.max(minBytes, 1) || !compresses(type)) return null;
      addVary(fields);
      const coding = chooseCoding(client['accept-encoding'] as string | undefined);
      if (coding === null || compressing.open >= mostAtOnce || isNotToBeTransformed(client)) return null;
      changeHead(fields, coding);
      head.hasLength = false;
      if (method === 'HEAD') return null;
      const isEvents = type.toLowerCase().startsWith('text/event-stream');
      const stream = createStream(coding, Number.isFinite(length) ? length : 0, isEvents);
      compressing.open += 1;
      stream.on('close', () => {
        compressing.open -= 1;
      });
      if (!isEvents) flushWhenQuiet(stream, coding);
      return stream;
    },
  };
}

/** Without a body, or with a part of one. */
const bodiless = new Set([204, 205, 206, 304]);

function isNotToBeTransformed({ 'cache-control': given }: IncomingHttpHeaders): boolean {
  return given !== undefined && noTransform.test(given);
}

const noTransform = /(?:^|[\s,])no-transform(?:$|[\s,])/i;

interface Head {
  type: string;
  /** Infinity where it is not said. */
  length: number;
  /** Compressed already, a part of something, or not to be transformed (RFC 9110, section 7.7). */
  isFixed: boolean;
}

function readHead(fields: readonly string[]): Head {
  const head: Head = { type: '', length: Number.POSITIVE_INFINITY, isFixed: false };
  for (let i = 0; i < fields.length; i += 2) {
    const value = fields[i + 1]!;
    switch (fields[i]!.toLowerCase()) {
      case 'content-type':
        head.type = value;
        break;
      case 'content-length':
        head.length = Number(value);
        break;
      case 'content-encoding':
        if (value.toLowerCase() !== 'identity') head.isFixed = true;
        break;
      case 'content-range':
        head.isFixed = true;
        break;
      case 'cache-control':
        if (noTransform.test(value)) head.isFixed = true;
    }
  }
  return head;
}

function changeHead(fields: string[], coding: Coding): void {
  let to = 0;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!;
    const lower = name.toLowerCase();
    if (outdated.has(lower) || lower === 'content-encoding') continue;
    const value = fields[i + 1]!;
    fields[to] = name;
    // The bytes are others, the meaning is the same (RFC 9110, section 8.8.1).
    fields[to + 1] = lower === 'etag' && value.startsWith('"') ? `W/${value}` : value;
    to += 2;
  }
  fields.length = to;
  fields.push('content-encoding', coding);
}

/** A 304 has the tag that the whole answer would have (RFC 9110, section 15.4.5): the weak one, where the client has got that from here. */
function weakenKnownTag(fields: string[], ifNoneMatch: string | undefined): void {
  if (ifNoneMatch === undefined) return;
  for (let i = 0; i < fields.length; i += 2) {
    const value = fields[i + 1]!;
    if (fields[i]!.toLowerCase() !== 'etag' || !value.startsWith('"') || !ifNoneMatch.includes(`W/${value}`))
      continue;
    fields[i + 1] = `W/${value}`;
    addVary(fields);
    return;
  }
}

function addVary(fields: string[]): void {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i]!.length !== 4 || fields[i]!.toLowerCase() !== 'vary') continue;
    if (/(?:^|[\s,])(?:\*|accept-encoding)(?:$|[\s,])/i.test(fields[i + 1]!)) return;
  }
  fields.push('vary', 'accept-encoding');
}

function createStream(
  coding: Coding,
  length: number,
  flushEach: boolean,
): Transform & { flush(kind: number): void } {
  const { constants } = zlib;
  const flush = flushEach ? { flush: flushKinds[coding] } : {};
  if (coding === 'gzip') return zlib.createGzip({ level: 5, ...flush } satisfies ZlibOptions);
  if (coding === 'zstd') {
    const params = { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_windowLog]: 17 };
    return zlib.createZstdCompress({ params, ...flush } satisfies ZstdOptions);
  }
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: 4,
    [constants.BROTLI_PARAM_LGWIN]: 17,
    [constants.BROTLI_PARAM_SIZE_HINT]: length,
  };
  return zlib.createBrotliCompress({ params, ...flush } satisfies BrotliOptions);
}

const flushKinds: Record<Coding, number> = {
  gzip: zlib.constants.Z_SYNC_FLUSH,
  br: zlib.constants.BROTLI_OPERATION_FLUSH,
  zstd: zlib.constants.ZSTD_e_flush,
};

function flushWhenQuiet(stream: Transform & { flush(kind: number): void }, coding: Coding): void {
  let timer: NodeJS.Timeout | null = null;
  const write = stream.write;
  stream.write = function noted(this: Transform, ...args: unknown[]) {
    if (timer === null) timer = setTimeout(flush, quietMs);
    else timer.refresh();
    return write.apply(this, args as Parameters<typeof write>);
  } as typeof write;
  function flush(): void {
    if (!stream.writableEnded && !stream.destroyed) stream.flush(flushKinds[coding]);
  }
  stream.on('finish', () => clearTimeout(timer ?? undefined));
  stream.on('close', () => clearTimeout(timer ?? undefined));
}
