import { AnswerHead } from './answer-head.ts';

/**
 * What has no meaning, or a dangerous one, behind a body: what frames or routes a message, says who sends it or how it is to be read (RFC 9110,
 * section 6.5.1), and what the edge itself says to upstreams.
 */
const forbidden =
  /^(?:(?:proxy-|x-forwarded-|content-(?:encoding|length|range|type)$).*|connection|keep-alive|transfer-encoding|te|trailer|upgrade|host|expect|via|forwarded|x-real-ip|x-request-id|cookie|set-cookie|authorization|authentication-info|www-authenticate|cache-control|age|expires|date|location|max-forwards|range|if-.*|vary|retry-after)$/;

/** Those fields of a trailer that are passed on, as flat pairs; null where none is. */
export function forwardTrailer(raw: readonly string[]): string[] | null {
  const passed: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    if (!forbidden.test(name.toLowerCase().replaceAll('_', '-'))) passed.push(name, raw[i + 1]!);
  }
  return passed.length === 0 ? null : passed;
}

/** The same, of an answer as undici gives it. Over HTTP/2 it is text already. */
export function forwardAnswerTrailer(raw: readonly Buffer[] | readonly string[]): string[] | null {
  const isText = typeof raw[0] === 'string';
  return forwardTrailer(isText ? (raw as readonly string[]) : new AnswerHead(raw as readonly Buffer[]).pairs);
}
