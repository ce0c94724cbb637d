interface ParsedRequest {
  socket: object;
  method?: string | undefined;
  url?: string | undefined;
}

/**
 * Whether a request is one of RTSP or ICE, which Node's parser takes for HTTP and tells nobody. Only its bytes tell, and only where it
 * begins what is being parsed: to be called at once, while it is. Copies those bytes.
 */
export function speaksAnother({ socket, method, url }: ParsedRequest): boolean {
  const { parser } = socket as { parser?: { getCurrentBuffer(): Buffer } | null };
  if (parser === null || parser === undefined) return false;
  const text = parser.getCurrentBuffer().toString('latin1').trimStart();
  const start = `${method} ${url} `;
  return text.startsWith(start) && /^(?:RTSP|ICE)\//.test(text.slice(start.length, start.length + 5));
}
