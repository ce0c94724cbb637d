import type { AnswerHead } from './answer-head.ts';
import { ExchangeError } from './failure-cause.ts';

/** What becomes of a field, by its name. */
const passed = 0;
const dropped = 1;
const connectionField = 2;
const codingField = 3;
const lengthField = 4;
/** Over HTTP/2 Node throws for a second value of these; over HTTP/1.1 it passes both on. */
const singleValued = 5;

interface Field {
  lower: string;
  kind: number;
}

const kinds = new Map<string, number>([
  ['connection', connectionField],
  ['transfer-encoding', codingField],
  ['content-length', lengthField],
]);
// What never passes the edge (RFC 9110, section 7.6.1), with `trailer` because trailers are not forwarded.
for (const name of 'keep-alive proxy-connection proxy-authenticate te trailer upgrade http2-settings'.split(
  ' ',
)) {
  kinds.set(name, dropped);
}
for (const name of 'access-control-allow-credentials access-control-max-age age content-encoding content-language content-location content-md5 content-range content-type date dnt etag expires last-modified location retry-after tk x-content-type-options'.split(
  ' ',
)) {
  kinds.set(name, singleValued);
}

/** Upstreams send the same few names again and again. Bounded, for one may invent them. */
const known = new Map<string, Field>();
const mostKnown = 2_000;

function fieldOf(name: string): Field {
  let field = known.get(name);
  if (field === undefined) {
    const lower = name.toLowerCase();
    field = { lower, kind: kinds.get(lower) ?? passed };
    if (known.size < mostKnown) known.set(name, field);
  }
  return field;
}

export interface ForwardedAnswer {
  /** Flat pairs; over HTTP/2 in lower case. */
  fields: string[];
  hasLength: boolean;
}

/**
 * The fields that a client receives. Throws `upstream_coding_unsupported` for a transfer coding beside chunked: its bytes would
 * be passed on without a word of it (RFC 9112, section 7).
 */
export function forwardAnswer(
  { pairs }: AnswerHead,
  statusCode: number,
  overHttp2: boolean,
): ForwardedAnswer {
  const fields: string[] = [];
  let hasLength = false;
  let connection: string | null = null;
  let singles: Set<string> | null = null;
  let coding: string | null = null;
  for (let i = 0; i < pairs.length; i += 2) {
    const name = pairs[i]!;
    const value = pairs[i + 1]!;
    const { lower, kind } = fieldOf(name);
    if (kind === passed) {
      fields.push(overHttp2 ? lower : name, value);
    } else if (kind === singleValued) {
      if (overHttp2) {
        singles ??= new Set();
        if (singles.has(lower)) continue;
        singles.add(lower);
      }
      fields.push(overHttp2 ? lower : name, value);
    } else if (kind === lengthField) {
      // A 204 has none (RFC 9110, section 8.6), a 205 no content (section 15.3.6).
      if (statusCode < 200 || statusCode === 204 || statusCode === 205) continue;
      hasLength = true;
      fields.push(overHttp2 ? lower : name, value);
    } else if (kind === connectionField) {
      connection = connection === null ? value : `${connection},${value}`;
    } else if (kind === codingField) {
      coding = coding === null ? value : `${coding},${value}`;
    }
  }
  if (statusCode === 205 && !overHttp2) {
    hasLength = true;
    fields.push('content-length', '0');
  }
  if (coding !== null && coding.toLowerCase() !== 'chunked') {
    throw new ExchangeError('upstream_coding_unsupported', `Transfer-Encoding: ${coding.slice(0, 100)}`);
  }
  const named = connection === null ? null : namedBy(connection);
  return { fields: named === null ? fields : without(fields, named), hasLength };
}

function without(fields: string[], named: Set<string>): string[] {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (!named.has(fields[i]!.toLowerCase())) kept.push(fields[i]!, fields[i + 1]!);
  }
  return kept;
}

/** The fields that `Connection` names; null for the usual values, which name none. */
function namedBy(connection: string): Set<string> | null {
  if (connection === 'keep-alive' || connection === 'close' || connection === 'Upgrade') return null;
  const names = new Set<string>();
  for (const part of connection.split(',')) names.add(part.trim().toLowerCase());
  // Naming these would take away what frames the message and says what it is.
  for (const kept of ['content-length', 'content-type']) names.delete(kept);
  return names;
}
