import type { Duplex } from 'node:stream';
import type { AnswerHead } from './answer-head.ts';
import type { FailureCause } from './failure-cause.ts';
import type { ClientEnds } from './proxy-header.ts';

/** The callback of a write. */
export type Release = (error?: Error | null) => void;

/** Receives the answer to an `UpstreamRequest`. What it throws ends the exchange, and comes back as `onFailed`. */
export interface AnswerHandler {
  /** False once it was answered otherwise: no other upstream need be tried. */
  readonly isOpen: boolean;
  /** Asked for upstreams that are told of them. */
  clientEnds(): ClientEnds;
  /** 100, or what else there is below 200, save 101. */
  onInterim(statusCode: number, head: AnswerHead): void;
  onHead(statusCode: number, head: AnswerHead, statusMessage: string | undefined): void;
  /** `release`, where there is one, is called once the chunk was written: its memory is used again. */
  onData(chunk: Buffer, release?: Release): void;
  /** `trailer`: flat pairs that may be passed on; null where there is none. */
  onEnd(trailer: string[] | null): void;
  /** The upstream switched to `protocol`, one of those that were asked for. */
  onUpgrade(head: AnswerHead, protocol: string, upstream: Duplex): void;
  /** There is no answer, or no more of it. Not `dialled`: no upstream could be reached. */
  onFailed(cause: FailureCause, dialled: boolean): void;
  /** The same, when `onFailed` itself threw. */
  onBroken(): void;
}
