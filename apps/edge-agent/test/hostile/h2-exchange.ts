import type { ClientHttp2Session, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';

/** What a client of HTTP/2 got. */
export interface H2Answer {
  status: number;
  headers: IncomingHttpHeaders;
  /** Interim answers that came before. */
  interim: IncomingHttpHeaders[];
  body: string;
  /** The stream's error code; 0: it ended regularly. */
  rstCode: number;
}

/** One request on a session, up to the end of its stream, however that comes. A status of 0: there was no answer. */
export function exchangeH2(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: string,
): Promise<H2Answer> {
  return new Promise((resolve) => {
    const stream = session.request(headers, { endStream: body === undefined });
    const answer: H2Answer = { status: 0, headers: {}, interim: [], body: '', rstCode: 0 };
    stream.setEncoding('latin1');
    stream.on('headers', (fields) => answer.interim.push(fields));
    stream.on('response', (fields) => {
      answer.headers = fields;
      answer.status = Number(fields[':status']);
    });
    stream.on('data', (chunk: string) => {
      answer.body += chunk;
    });
    stream.on('error', () => {});
    stream.on('close', () => resolve({ ...answer, rstCode: stream.rstCode ?? 0 }));
    if (body !== undefined) stream.end(body);
  });
}
