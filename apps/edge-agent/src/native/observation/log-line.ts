import type { AccessLog } from '@lockstep/contract';
import type { ExchangeWatch } from '../http/exchange-watch.ts';
import { hideAddress, hideQuery } from './hidden-parts.ts';
import { tlsFactsOf } from './tls-facts.ts';

/** One line is written in one piece: a pipe takes no more of it at once (PIPE_BUF). */
const longestText = 1_024;

export interface LogLineOptions {
  format: AccessLog['format'];
  query: AccessLog['query'];
  clientAddress: AccessLog['clientAddress'];
  node: string;
}

/** Puts an answer in words, for the access log. */
export type LogLine = (watch: ExchangeWatch, statusCode: number, now: number) => string;

export function createLogLine(options: LogLineOptions): LogLine {
  return options.format === 'json' ? jsonLine(options) : combinedLine(options);
}

function jsonLine({ node, query, clientAddress }: LogLineOptions): LogLine {
  return (watch, statusCode, now) => {
    const { forwarded, exchange } = watch;
    const upstream = exchange?.upstreamRequest ?? null;
    const line = {
      level: 30,
      time: Date.now(),
      node,
      worker: process.pid,
      msg: 'request',
      requestId: forwarded?.requestId,
      traceId: forwarded?.traceparent?.slice(3, 35),
      route: watch.route?.id,
      tenant: watch.route?.record.tenant,
      client: hideAddress(clientOf(watch), clientAddress),
      method: watch.request.method,
      host: forwarded?.host,
      path: shorten(hideQuery(targetOf(watch), query)),
      protocol: protocolOf(watch),
      status: statusCode,
      cause: watch.cause ?? exchange?.cause ?? undefined,
      upstream: upstream?.upstreamOrigin,
      attempts: upstream?.attempts,
      // Of the last attempt; what was lost to those before it is in the wait.
      queueMs: upstream === null ? undefined : between(watch.startedAt, upstream.connectionAt),
      connectMs: upstream === null ? undefined : between(upstream.connectionAt, upstream.sentAt),
      firstByteMs: upstream === null ? undefined : between(upstream.sentAt, upstream.headAt),
      totalMs: between(watch.startedAt, now),
      bytesIn: watch.bytesIn,
      bytesOut: watch.bytesOut,
      ...tlsFactsOf(watch.request),
      userAgent: shorten(fieldOf(watch, 'user-agent')),
    };
    return `${JSON.stringify(line)}\n`;
  };
}

/** As Apache's `combined`, and nginx's. */
function combinedLine({ query, clientAddress }: LogLineOptions): LogLine {
  return (watch, statusCode) => {
    const client = hideAddress(clientOf(watch), clientAddress) ?? '-';
    const target = shorten(hideQuery(targetOf(watch), query)) ?? '-';
    const request = `${watch.request.method} ${target} ${protocolOf(watch)}`;
    const quoted = [request, fieldOf(watch, 'referer'), fieldOf(watch, 'user-agent')].map(
      (text) => `"${quotable(shorten(text) ?? '-')}"`,
    );
    const [first, ...rest] = quoted;
    return `${client} - - [${dateOf(new Date())}] ${first} ${statusCode} ${watch.bytesOut} ${rest.join(' ')}\n`;
  };
}

function clientOf({ forwarded, peer }: ExchangeWatch): string | undefined {
  return forwarded?.clientAddress ?? peer;
}

/** As it came: what a rule made of it is the upstream's to know. */
function targetOf({ request }: ExchangeWatch): string | undefined {
  return request.url;
}

function protocolOf({ request }: ExchangeWatch): string {
  return `HTTP/${request.httpVersion}`;
}

function fieldOf({ request }: ExchangeWatch, name: 'user-agent' | 'referer'): string | undefined {
  const given = request.headers[name];
  return typeof given === 'string' ? given : undefined;
}

function shorten(text: string | undefined): string | undefined {
  return text === undefined || text.length <= longestText ? text : `${text.slice(0, longestText)}…`;
}

/** In milliseconds, to the microsecond; undefined where one of both never came. */
function between(from: number, to: number): number | undefined {
  return from === 0 || to === 0 ? undefined : Math.max(0, Math.round((to - from) * 1_000) / 1_000);
}

/** What ends a field or a line, or could be taken for a terminal's own (CWE-117). */
function quotable(text: string): string {
  return text.replace(/["\\\p{Cc}\u2028\u2029]/gu, (character) =>
    character === '"' || character === '\\'
      ? `\\${character}`
      : `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

function dateOf(date: Date): string {
  const two = (part: number) => String(part).padStart(2, '0');
  const time = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(':');
  return `${two(date.getUTCDate())}/${months[date.getUTCMonth()]}/${date.getUTCFullYear()}:${time} +0000`;
}
