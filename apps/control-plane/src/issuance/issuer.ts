import type { OrderRecord } from '@lockstep/contract';
import type { Change } from '@lockstep/store';

/**
 * What one step of an issuer led to.
 * - next: `order` is to be written, with `changes` in the same commit, and then the next step is due after `waitMs`.
 * - issued: the chain for the key. The coordinator checks it before anything is replaced.
 */
export type StepResult =
  | { outcome: 'next'; order: Partial<OrderRecord>; changes?: Change[]; waitMs?: number }
  | { outcome: 'issued'; chain: string; keyPem: string };

/** Where certificates come from. */
export interface Issuer {
  readonly name: string;
  /**
   * Takes an order one step further. A step may be repeated after a crash, so it asks the CA where the order stands rather than
   * trusting that its own last word arrived. Throws `IssuerFailure`.
   */
  advance(id: string, order: OrderRecord, signal: AbortSignal): Promise<StepResult>;
}

export interface IssuerFailureOptions {
  cause?: unknown;
  /** The type of the CA's problem document. */
  type?: string | null;
  /** What the CA asked to be left alone for. */
  retryAfterMs?: number | null;
  /** The order itself still stands at the CA and goes on after the wait. */
  resumable?: boolean;
}

/** An attempt that failed, told in a sentence for an operator. */
export class IssuerFailure extends Error {
  readonly type: string | null;
  readonly retryAfterMs: number | null;
  readonly resumable: boolean;

  constructor(
    detail: string,
    { cause, type = null, retryAfterMs = null, resumable = false }: IssuerFailureOptions = {},
  ) {
    super(detail, cause === undefined ? undefined : { cause });
    this.name = 'IssuerFailure';
    this.type = type;
    this.retryAfterMs = retryAfterMs;
    this.resumable = resumable;
  }
}
