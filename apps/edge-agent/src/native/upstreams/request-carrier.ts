import type { Dispatcher } from 'undici';
import type { RequestBody } from './request-body.ts';

/** What a connection reads of a request: undici takes it for the options of a dispatch. */
export interface CarriedRequest {
  readonly method: string;
  readonly path: string;
  /** Flat pairs, Host first. */
  readonly headers: string[];
  readonly body: RequestBody | null;
  /** The protocols that the client wants to switch to. */
  readonly upgrade: string | null;
  /** For the head of the answer, once the request is sent; 0: for ever. */
  readonly headersTimeout: number;
  /** Between two parts of the answer's body; 0: for ever. */
  readonly bodyTimeout: number;
  /** The name that the upstream is to prove, where it has none of its own. */
  readonly servername: string | undefined;
}

export interface CarrierHandler extends Dispatcher.DispatchHandler {
  /** The first byte of an answer came. */
  onResponseStarted?(): void;
  /** After `onRequestStart`: the upstream did nothing with the request, which is as if it had not been sent. */
  onRequestUnsent?(): void;
}

/** Carries one request at a time to an upstream, and tells of the answer as undici's client does. */
export interface RequestCarrier {
  dispatch(request: CarriedRequest, handler: CarrierHandler): unknown;
}
