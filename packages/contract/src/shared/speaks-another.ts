interface ParsedRequest {
  socket: object;
  method?: string | undefined;
  url?: string | undefined;
  httpVersion: string;
}

/**
 * Whether a request is one of RTSP or ICE, which Node's parser takes for HTTP and tells nobody. Only its bytes tell, and only where its
 * first line is in what is being parsed: to be called at once, while it is. Copies those bytes.
 */
export function speaksAnother({ socket, method, url, httpVersion }: ParsedRequest): boolean {
  const { parser } = socket as { parser?: { getCurrentBuffer(): Buffer } | null };
  if (parser === null || parser === undefined) return false;
  const text = `\n${parser.getCurrentBuffer().toString('latin1').trimStart()}`;
  return ['RTSP', 'ICE'].some((name) => text.includes(`\n${method} ${url} ${name}/${httpVersion}\r\n`));
}
