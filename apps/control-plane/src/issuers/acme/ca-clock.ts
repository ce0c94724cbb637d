import { clockSkewAllowedMs, spanOf } from '../../fleet/store-clock.ts';

/** What a CA's answers say of this machine's clock: its validity dates count by the CA's. */
export interface CaClock {
  /** Takes the Date of an answer (RFC 9110, section 6.6.1); null where there is none. */
  note(date: string | null): void;
  /** Why nothing is to be ordered; null: the clocks agree, or the CA has said no date yet. */
  fault(): string | null;
}

export function createCaClock({ now = Date.now }: { now?: () => number } = {}): CaClock {
  let known: { caMs: number; atMs: number } | null = null;
  return {
    note(date) {
      const caMs = Date.parse(date ?? '');
      if (!Number.isNaN(caMs)) known = { caMs, atMs: performance.now() };
    },
    fault() {
      if (known === null) return null;
      const skewMs = now() - (known.caMs + performance.now() - known.atMs);
      if (Math.abs(skewMs) <= clockSkewAllowedMs) return null;
      const span = spanOf(Math.abs(skewMs));
      return `the clock of this control plane is ${span} ${skewMs > 0 ? 'ahead of' : 'behind'} the CA’s; set it right`;
    },
  };
}
