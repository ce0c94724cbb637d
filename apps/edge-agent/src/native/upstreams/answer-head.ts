declare global {
  interface Buffer {
    /** What `toString('latin1')` comes to, without its way there. */
    latin1Slice(): string;
  }
}

/**
 * The fields of an upstream's answer as they stood on the wire: flat pairs, Latin-1, names in their own case. Space behind a value is none
 * of it (RFC 9112, section 5.1), and HTTP/2 forbids it. undici takes it for a head that is parsed already, which saves a second pass
 * over it; `length` is what it looks at.
 */
export class AnswerHead {
  readonly length: number;
  readonly pairs: string[];
  readonly trimmed: boolean;
  /** How long the body is, where whoever made this has looked; else -1. */
  bodyBytes = -1;
  /** Over HTTP/2: of names and values; and whether nothing comes behind it. */
  bytes = 0;
  ends = false;

  /** `raw`: as undici has them, or read already. */
  constructor(raw: readonly Buffer[] | string[]) {
    const count = raw.length;
    if (typeof raw[0] === 'string') {
      this.length = count;
      this.pairs = raw as string[];
      this.trimmed = false;
      return;
    }
    const fields = raw as readonly Buffer[];
    const pairs = new Array<string>(count);
    let trimmed = false;
    for (let i = 0; i < count; i += 2) {
      pairs[i] = fields[i]!.latin1Slice();
      const value = fields[i + 1]!.latin1Slice();
      const last = value.charCodeAt(value.length - 1);
      const spaced = last === 0x20 || last === 0x09;
      pairs[i + 1] = spaced ? value.replace(/[ \t]+$/, '') : value;
      if (spaced) trimmed = true;
    }
    this.length = count;
    this.pairs = pairs;
    this.trimmed = trimmed;
  }

  /** Of HTTP/2: flat pairs with pseudo-fields first, names in lower case. */
  static ofPairs(raw: readonly string[], ends: boolean): AnswerHead {
    const head = new AnswerHead([]);
    for (let i = 0; i < raw.length; i += 2) {
      head.bytes += raw[i]!.length + raw[i + 1]!.length;
      if (raw[i]!.charCodeAt(0) !== 0x3a) head.pairs.push(raw[i]!, raw[i + 1]!.trim());
    }
    head.ends = ends;
    return head;
  }

  /** The value of Content-Length; the parser has seen to it that there is one at most, of digits. */
  get contentLength(): number {
    const name = this.pairs.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === 'content-length');
    return name === -1 ? -1 : Number(this.pairs[name + 1]);
  }
}
