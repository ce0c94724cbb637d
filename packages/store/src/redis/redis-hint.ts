import type { Hint } from '@lockstep/contract';

/** A hint as another process published it; null for anything that its channel is not for: one is open to every edge. */
export function parseHint(message: string, kind: Hint['hint']): Hint | null {
  try {
    const hint = JSON.parse(message);
    if (hint?.hint !== kind || typeof hint.host !== 'string' || hint.host.length > 253) return null;
    if (kind === 'ask') return typeof hint.node === 'string' ? hint : null;
    return typeof hint.allowed === 'boolean' && typeof hint.until === 'number' ? hint : null;
  } catch {
    return null;
  }
}
