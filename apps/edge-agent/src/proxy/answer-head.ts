declare global {
  interface Buffer {
    /** What `toString('latin1')` comes to, without its way there. */
    latin1Slice(): string;
  }
}

/**
 * The fields of an upstream's answer as they stood on the wire: flat pairs, Latin-1, names in their own case. undici takes it for
 * a head that is parsed already, which saves a second pass over it; `length` is what it looks at.
 */
export class AnswerHead {
  readonly length: number;
  readonly pairs: string[];

  constructor(raw: readonly Buffer[]) {
    const count = raw.length;
    const pairs = new Array<string>(count);
    for (let i = 0; i < count; i += 1) pairs[i] = raw[i]!.latin1Slice();
    this.length = count;
    this.pairs = pairs;
  }
}
