/**
 * Fields that frame a message or are about one connection (RFC 9110, section 7.6.1; RFC 9112, section 6): Lockstep sets them, and a message
 * with another value would be read as something else than it is. In lower case.
 */
const framing = new Set(
  'connection content-length expect http2-settings keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade'.split(
    ' ',
  ),
);

/** Those of which an answer has one at most: HTTP/2 knows no second value of them. In lower case. */
export const singleFields: readonly string[] =
  'access-control-allow-credentials access-control-max-age age content-encoding content-language content-location content-md5 content-range content-type date dnt etag expires last-modified location retry-after tk x-content-type-options'.split(
    ' ',
  );

export function isFramingField(name: string): boolean {
  return framing.has(name.toLowerCase());
}
