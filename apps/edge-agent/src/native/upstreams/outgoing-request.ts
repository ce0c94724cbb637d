/** A request as an upstream receives it, without its body. */
export interface OutgoingRequest {
  readonly method: string;
  readonly path: string;
  /** Flat pairs. */
  readonly headers: string[];
  /** On whose account it waits for a connection. */
  readonly clientAddress: string;
}
