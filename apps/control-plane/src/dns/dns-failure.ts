/** The DNS gave no answer that counts: a time-out, SERVFAIL, a refusal. The message is a sentence for whoever waits for it. */
export class DnsFailure extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'DnsFailure';
  }
}
