export type Counts = Readonly<Record<string, number>>;

/** What one process of an engine counts. Counters grow over its life; the rest is as of now. */
export interface EngineFigures {
  /** By class of status. */
  answers: Counts;
  requests: RequestFigures;
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
  rules: RuleFigures;
}

/** What the rules of routes keep. */
export interface RuleFigures {
  /** Buckets of rate limits. */
  rateBuckets: number;
  /** Passwords that were checked, besides those that were remembered. Grows over the life of the process. */
  passwordChecks: number;
  /** Answers that are being compressed. */
  compressing: number;
}

/** By what answers a request: a route's upstreams, its redirect, its answer of its own; the edge itself where there is no route. */
export const requestClasses = ['upstreams', 'redirect', 'response', 'edge'] as const;
export const statusClasses = ['0xx', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;

/** How many durations there were by `durationBucket`, and how long all of them were. */
export interface DurationFigures {
  durations: readonly number[];
  seconds: number;
}

export interface RequestFigures {
  /** In the order of `requestClasses`, `statuses` in that of `statusClasses`. */
  classes: readonly (DurationFigures & {
    name: (typeof requestClasses)[number];
    statuses: readonly number[];
  })[];
  /** From when a request was sent to an upstream until the head of its answer came. */
  firstBytes: DurationFigures;
  /** Those that were asked for most. */
  hosts: readonly (readonly [host: string, requests: number, errors: number])[];
  /** Of the access log. */
  linesDropped: number;
}

/** The closed lists that an engine counts by: each is shown from the start, at 0. */
export interface FigureLabels {
  failures: readonly string[];
  refusedRequests: readonly string[];
  cuts: readonly string[];
}
