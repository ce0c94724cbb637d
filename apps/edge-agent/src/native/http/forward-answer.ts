import type { AnswerHead } from '../upstreams/answer-head.ts';
import { ExchangeError } from '../upstreams/failure-cause.ts';
import { createFieldKinds, dropNamed, hopByHop } from './field-kinds.ts';

/** What becomes of a field, by its name. */
const passed = 0;
const dropped = 1;
const connectionField = 2;
const codingField = 3;
const lengthField = 4;
/** Over HTTP/2 a client may not take a second value of these, and gets the first; over HTTP/1.1 both are passed on. */
const singleValued = 5;
const trailerField = 6;

const kinds = new Map<string, number>([
  ['connection', connectionField],
  ['transfer-encoding', codingField],
  ['content-length', lengthField],
  ['trailer', trailerField],
]);
for (const name of hopByHop) kinds.set(name, dropped);
for (const name of 'access-control-allow-credentials access-control-max-age age content-encoding content-language content-location content-md5 content-range content-type date dnt etag expires last-modified location retry-after tk x-content-type-options'.split(
  ' ',
)) {
  kinds.set(name, singleValued);
}

const fieldOf = createFieldKinds((lower) => kinds.get(lower) ?? passed);
/** How long the names are that do not simply pass over HTTP/1.1: of others there is nothing to find. */
const lengths: boolean[] = [];
for (const [name, kind] of kinds) if (kind !== singleValued) lengths[name.length] = true;

export interface ForwardedAnswer {
  /** Flat pairs; over HTTP/2 in lower case. */
  fields: string[];
  hasLength: boolean;
  /** Over HTTP/1.1: what `Trailer` says, which only a body in chunks may come with. */
  trailer: string | null;
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
  let trailer: string | null = null;
  for (let i = 0; i < pairs.length; i += 2) {
    const name = pairs[i]!;
    const value = pairs[i + 1]!;
    if (!overHttp2 && lengths[name.length] !== true) {
      fields.push(name, value);
      continue;
    }
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
    } else if (kind === trailerField) {
      if (overHttp2) fields.push(lower, value);
      else trailer = trailer === null ? value : `${trailer}, ${value}`;
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
  if (connection !== null) dropNamed(fields, connection);
  return { fields, hasLength, trailer };
}
