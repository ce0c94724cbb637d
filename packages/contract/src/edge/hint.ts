import type { Traffic } from './traffic.ts';
import type { UpstreamState } from './upstream-state.ts';

/**
 * What processes tell each other beside the history. Nothing depends on one arriving: whoever needs an answer asks again.
 * - ask: an edge has a handshake waiting for a host that it does not know.
 * - verdict: whether such a host is allowed, good until `until` (milliseconds since 1970).
 * - upstreams: how does this node find its upstreams, those behind the key `after`, so many at most?
 * - upstream-states: it finds them so; `next` is the key behind which there are more.
 * - traffic: what did each node serve of this route?
 * - traffic-served: this node served so much.
 */
export type Hint =
  | { hint: 'ask'; host: string; node: string }
  | { hint: 'verdict'; host: string; allowed: boolean; until: number }
  | { hint: 'upstreams'; node: string; id: string; after: string; limit: number }
  | { hint: 'traffic'; id: string; route: string }
  | { hint: 'traffic-served'; id: string; node: string; traffic: Traffic[] }
  | { hint: 'upstream-states'; id: string; states: UpstreamState[]; next: string | null };

/** Those that edges send, and control planes hear; the others go the other way. */
export type HintFromEdge = Extract<Hint, { hint: 'ask' | 'upstream-states' | 'traffic-served' }>;

export function isFromEdge(hint: Hint): hint is HintFromEdge {
  return hint.hint === 'ask' || hint.hint === 'upstream-states' || hint.hint === 'traffic-served';
}
