import type { UpstreamState } from './upstream-state.ts';

/**
 * What processes tell each other beside the history. Nothing depends on one arriving: whoever needs an answer asks again.
 * - ask: an edge has a handshake waiting for a host that it does not know.
 * - verdict: whether such a host is allowed, good until `until` (milliseconds since 1970).
 * - upstreams: how does this node find its upstreams, those behind the key `after`, so many at most?
 * - upstream-states: it finds them so; `next` is the key behind which there are more.
 */
export type Hint =
  | { hint: 'ask'; host: string; node: string }
  | { hint: 'verdict'; host: string; allowed: boolean; until: number }
  | { hint: 'upstreams'; node: string; id: string; after: string; limit: number }
  | { hint: 'upstream-states'; id: string; states: UpstreamState[]; next: string | null };

/** Those that edges send, and control planes hear; the others go the other way. */
export type HintFromEdge = Extract<Hint, { hint: 'ask' | 'upstream-states' }>;

export function isFromEdge(hint: Hint): hint is HintFromEdge {
  return hint.hint === 'ask' || hint.hint === 'upstream-states';
}
