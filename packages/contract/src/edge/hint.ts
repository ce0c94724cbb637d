/**
 * What processes tell each other beside the history. Nothing depends on one arriving: whoever needs an answer asks again.
 * - ask: an edge has a handshake waiting for a host that it does not know.
 * - verdict: whether such a host is allowed, good until `until` (milliseconds since 1970).
 */
export type Hint =
  | { hint: 'ask'; host: string; node: string }
  | { hint: 'verdict'; host: string; allowed: boolean; until: number };
