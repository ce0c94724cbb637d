import { isUtf8 } from 'node:buffer';

/** A line as it came: `text` null where it is too long, or no UTF-8. Blank ones are counted and left out. */
export interface NdjsonLine {
  line: number;
  text: string | null;
}

const newline = 0x0a;

/** The lines of a stream, those of each piece of it together: at no time more than a piece and a line are held. */
export async function* ndjsonLines(
  stream: AsyncIterable<Buffer>,
  longestBytes: number,
): AsyncGenerator<NdjsonLine[], void> {
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let line = 0;

  function take(last: Buffer): NdjsonLine[] {
    line += 1;
    const tooLong = pendingBytes + last.length > longestBytes;
    const bytes = tooLong ? null : Buffer.concat([...pending, last]);
    pending = [];
    pendingBytes = 0;
    if (bytes === null || !isUtf8(bytes)) return [{ line, text: null }];
    const text = bytes.toString().trim();
    return text === '' ? [] : [{ line, text }];
  }

  for await (const piece of stream) {
    const lines: NdjsonLine[] = [];
    let from = 0;
    for (let at = piece.indexOf(newline); at !== -1; at = piece.indexOf(newline, from)) {
      lines.push(...take(piece.subarray(from, at)));
      from = at + 1;
    }
    const rest = piece.subarray(from);
    pendingBytes += rest.length;
    // What is too long already is only counted.
    if (pendingBytes <= longestBytes) pending.push(Buffer.from(rest));
    if (lines.length > 0) yield lines;
  }
  if (pendingBytes > 0) yield take(Buffer.alloc(0));
}
