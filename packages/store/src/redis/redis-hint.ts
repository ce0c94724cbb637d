import type { Hint } from '@lockstep/contract';

/** A hint as another process published it; null for anything else: a channel is open to whoever may publish. */
export function parseHint(message: string): Hint | null {
  try {
    const hint = JSON.parse(message);
    if (typeof hint?.host !== 'string' || hint.host.length > 253) return null;
    if (hint.hint === 'ask' && typeof hint.node === 'string') return hint;
    if (hint.hint === 'verdict' && typeof hint.allowed === 'boolean' && typeof hint.until === 'number')
      return hint;
    return null;
  } catch {
    return null;
  }
}
