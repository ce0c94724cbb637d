import { once } from 'node:events';
import { connect } from 'node:net';

export interface RawAnswer {
  status: number;
  headers: Map<string, string>;
  text: string;
}

/**
 * Sends bytes as they are over a connection of their own, `inTurn` each part after the answer to the one before it; gives the answers
 * in order as soon as there are as many as asked for, or the server has closed.
 */
export async function sendRaw(
  url: string,
  parts: (string | Uint8Array)[],
  { inTurn = false, answers = inTurn ? parts.length : 1 }: { inTurn?: boolean; answers?: number } = {},
): Promise<{ answers: RawAnswer[]; closed: boolean }> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const chunks: Uint8Array[] = [];
  let closed = false;
  const changed = new EventTarget();
  const tell = () => changed.dispatchEvent(new Event('change'));
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    tell();
  });
  socket.on('close', () => {
    closed = true;
    tell();
  });
  socket.on('error', () => {}); // 'close' follows
  await once(socket, 'connect');
  const seen = async (count: number) => {
    for (;;) {
      const found = parseAnswers(Buffer.concat(chunks));
      if (closed || found.length >= count) return found;
      await once(changed, 'change');
    }
  };
  for (const [index, part] of parts.entries()) {
    if (inTurn) await seen(index);
    socket.write(part);
  }
  const found = await seen(answers);
  socket.destroy();
  return { answers: found, closed };
}

/** Whole answers with Content-Length, or without a body. */
function parseAnswers(bytes: Buffer): RawAnswer[] {
  const found: RawAnswer[] = [];
  for (let rest = bytes.toString('latin1'); rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n');
    if (end === -1) return found;
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n');
    const headers = new Map(
      lines.map((line): [string, string] => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const length = Number(headers.get('content-length') ?? 0);
    if (rest.length < end + 4 + length) return found;
    const text = Buffer.from(rest.slice(end + 4, end + 4 + length), 'latin1').toString('utf8');
    const status = Number(first.split(' ')[1]);
    if (status >= 200) found.push({ status, headers, text });
    rest = rest.slice(end + 4 + length);
  }
  return found;
}
