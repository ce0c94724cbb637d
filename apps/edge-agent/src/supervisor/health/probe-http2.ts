import type { ClientHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { openProbeConnection, type ProbeConnectionOptions } from './probe-connection.ts';

/** What a check looks at. */
export interface ProbeAnswer {
  status: number;
  body: AsyncIterable<Buffer>;
  /** Once the body has ended: whether that was the end of it. */
  isComplete(): boolean;
}

/** Asks an upstream that speaks HTTP/2. `callback` is called once, unless what is given back, which ends the connection, is called before. */
export function askOverHttp2(
  options: ProbeConnectionOptions,
  { method, path }: { method: string; path: string },
  callback: (error: Error | null, answer: ProbeAnswer | null) => void,
): () => void {
  let session: ClientHttp2Session | null = null;
  let over = false;
  const finish: typeof callback = (error, answer) => {
    if (over) return;
    over = true;
    callback(error, answer);
  };

  function ask(socket: Socket): void {
    const secure = options.upstream.protocol === 'h2';
    // Few edges have such upstreams to look at.
    const { connect } = process.getBuiltinModule('node:http2');
    session = connect(secure ? 'https://upstream' : 'http://upstream', { createConnection: () => socket });
    session.on('error', (error) => finish(error, null));
    const stream = session.request({
      ':method': method,
      ':path': path,
      ':authority': options.host,
      'user-agent': 'lockstep-health-check',
      accept: '*/*',
    });
    stream.on('error', (error) => finish(error, null));
    stream.on('close', () => finish(new Error('the stream was reset'), null));
    stream.on('response', (head) => {
      finish(null, { status: Number(head[':status']), body: stream, isComplete: () => stream.rstCode === 0 });
    });
    stream.end();
  }

  const socket = openProbeConnection(options, (error, opened) => {
    if (opened === null) finish(error, null);
    else ask(opened);
  });
  return () => {
    over = true;
    session?.destroy();
    socket.destroy();
  };
}
