/** A DNS provider refused, failed or could not be reached. The message is a sentence for an operator, without secrets. */
export class DnsProviderError extends Error {
  /** How long the provider asks to be left alone; null where it says nothing. */
  readonly retryAfterMs: number | null;
  /** It did not answer, stumbled, or asks for a while: what was asked may well be done later as it is. */
  readonly passing: boolean;

  constructor(
    message: string,
    options: { cause?: unknown; retryAfterMs?: number | null; passing?: boolean } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'DnsProviderError';
    this.retryAfterMs = options.retryAfterMs ?? null;
    this.passing = options.passing ?? false;
  }
}
