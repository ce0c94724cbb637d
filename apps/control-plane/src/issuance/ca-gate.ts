import PQueue from 'p-queue';
import { type Issuer, IssuerFailure } from '../issuers/issuer.ts';

const firstRestMs = 5_000;
const longestRestMs = 60_000;

/**
 * Makes the orders of one control plane one at a time for each issuer: between a CA's answer to an order and the commit that remembers it a
 * crash loses the order, and so at most this one. And a CA that does not answer is left alone for a moment, so that not every host waits for its time-out.
 */
export interface CaGate {
  /** Runs `work` in its turn, those of greater urgency before others. Throws `IssuerFailure` of kind unavailable at once while the CA rests. */
  run<T>(issuer: Issuer, urgency: number, work: () => Promise<T>): Promise<T>;
}

interface Gate {
  queue: PQueue;
  down: { until: number; restMs: number; failure: IssuerFailure } | null;
}

export function createCaGate({ now }: { now: () => number }): CaGate {
  // By the issuer as it is set: one that was changed neither waits for the old one nor is known to be down.
  const gates = new WeakMap<Issuer, Gate>();

  function gateOf(issuer: Issuer): Gate {
    const known = gates.get(issuer) ?? { queue: new PQueue({ concurrency: 1 }), down: null };
    gates.set(issuer, known);
    return known;
  }

  function refuseWhileDown({ down }: Gate): void {
    if (down !== null && down.until > now()) throw failureOf(down, down.until - now());
  }

  function failureOf({ failure }: NonNullable<Gate['down']>, retryAfterMs: number): IssuerFailure {
    const { message, problem } = failure;
    return new IssuerFailure(message, { kind: 'unavailable', problem, retryAfterMs });
  }

  return {
    async run(issuer, urgency, work) {
      const gate = gateOf(issuer);
      refuseWhileDown(gate);
      // After its rest one asks whether it is back. The others would wait for that one's time-out, in places that hosts of other CAs need.
      if (gate.down !== null && gate.queue.pending + gate.queue.size > 0)
        throw failureOf(gate.down, firstRestMs);
      return gate.queue.add(
        async () => {
          refuseWhileDown(gate);
          try {
            const result = await work();
            gate.down = null;
            return result;
          } catch (failure) {
            if (failure instanceof IssuerFailure && failure.kind === 'unavailable') {
              const restMs = Math.min(longestRestMs, gate.down === null ? firstRestMs : gate.down.restMs * 2);
              gate.down = { until: now() + restMs, restMs, failure };
            }
            throw failure;
          }
        },
        { priority: urgency },
      );
    },
  };
}
