import PQueue from 'p-queue';
import { type Issuer, IssuerFailure } from './issuer.ts';

const firstRestMs = 5_000;
const longestRestMs = 60_000;

/**
 * Makes the orders of one control plane one at a time for each issuer: between a CA's answer to an order and the commit that remembers it a
 * crash loses the order, and so at most this one. And a CA that does not answer is left alone for a moment, so that not every host waits for its time-out.
 */
export interface CaGate {
  /** Runs `work` in its turn, first attempts before others. Throws `IssuerFailure` of kind unavailable at once while the CA rests. */
  run<T>(issuer: Issuer, urgent: boolean, work: () => Promise<T>): Promise<T>;
}

interface Gate {
  queue: PQueue;
  /** Of `issuer` as it was set then: one that was changed since is not known to be down. */
  down: { issuer: Issuer; until: number; restMs: number; failure: IssuerFailure } | null;
}

export function createCaGate({ now }: { now: () => number }): CaGate {
  const gates = new Map<string, Gate>();

  function gateOf(issuer: string): Gate {
    const known = gates.get(issuer) ?? { queue: new PQueue({ concurrency: 1 }), down: null };
    gates.set(issuer, known);
    return known;
  }

  function refuseWhileDown({ down }: Gate, issuer: Issuer): void {
    if (down === null || down.issuer !== issuer || down.until <= now()) return;
    const { message, problem } = down.failure;
    throw new IssuerFailure(message, {
      kind: 'unavailable',
      problem,
      retryAfterMs: down.until - now(),
    });
  }

  return {
    async run(issuer, urgent, work) {
      const gate = gateOf(issuer.name);
      refuseWhileDown(gate, issuer);
      return gate.queue.add(
        async () => {
          refuseWhileDown(gate, issuer);
          try {
            const result = await work();
            gate.down = null;
            return result;
          } catch (failure) {
            if (failure instanceof IssuerFailure && failure.kind === 'unavailable') {
              const again = gate.down?.issuer === issuer;
              const restMs = again ? Math.min(longestRestMs, gate.down!.restMs * 2) : firstRestMs;
              gate.down = { issuer, until: now() + restMs, restMs, failure };
            }
            throw failure;
          }
        },
        { priority: urgent ? 1 : 0 },
      );
    },
  };
}
