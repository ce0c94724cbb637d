import { type Hint, isFromEdge } from '@lockstep/contract';

type HintChannel = 'fromEdges' | 'toEdges';

export function channelOf(hint: Hint): HintChannel {
  return isFromEdge(hint) ? 'fromEdges' : 'toEdges';
}

const mostBytes = 1_048_576;
const mostNameLength = 253;

/** A hint as another process published it; null for anything that its channel is not for: one is open to every edge. */
export function parseHint(message: string, channel: HintChannel): Hint | null {
  if (message.length > mostBytes) return null;
  try {
    const hint = JSON.parse(message);
    return typeof hint === 'object' && hint !== null && isHint(hint) && channelOf(hint) === channel
      ? hint
      : null;
  } catch {
    return null;
  }
}

function isHint(given: object): given is Hint {
  const hint = given as Record<string, unknown>;
  const isName = (name: unknown) => typeof name === 'string' && name.length <= mostNameLength;
  switch (hint.hint) {
    case 'ask':
      return isName(hint.host) && typeof hint.node === 'string';
    case 'verdict':
      return isName(hint.host) && typeof hint.allowed === 'boolean' && typeof hint.until === 'number';
    case 'upstreams':
      return [hint.node, hint.id, hint.after].every(isName) && typeof hint.limit === 'number';
    case 'upstream-states':
      return isName(hint.id) && Array.isArray(hint.states) && (hint.next === null || isName(hint.next));
    case 'traffic':
      return isName(hint.id) && isName(hint.route);
    case 'traffic-served':
      return isName(hint.id) && isName(hint.node) && Array.isArray(hint.traffic);
    default:
      return false;
  }
}
