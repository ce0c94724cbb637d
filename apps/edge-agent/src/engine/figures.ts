export type Counts = Readonly<Record<string, number>>;

/** What one process of an engine counts. Counters grow over its life; the rest is as of now. */
export interface EngineFigures {
  /** By class of status. */
  answers: Counts;
  handshakeFailures: Counts;
  /** Answers of upstreams that did not reach the client whole, by cause. */
  failures: Counts;
  /** Requests that were answered without an upstream, by reason. */
  refusedRequests: Counts;
  /** Connections and answers that were ended early, by reason. */
  cuts: Counts;
  /** By place. */
  exceptions: Counts;
  certificatesBuilt: number;
  connections: number;
  contexts: number;
  /** Handshakes that wait for a certificate. */
  held: number;
  /** Requests without a complete answer, open tunnels, open HTTP/2 sessions. */
  inFlight: number;
  tunnels: number;
  sessions: number;
  /** Connections to upstreams, and requests that wait for one. */
  upstreams: { open: number; pending: number };
  /** Requests that were sent to an upstream once more, by reason, and those that there was no budget for. */
  repeats: Counts;
}

/** The closed lists that an engine counts by: each is shown from the start, at 0. */
export interface FigureLabels {
  failures: readonly string[];
  refusedRequests: readonly string[];
  cuts: readonly string[];
}
