import type { Boundary, EdgeOnDemand, Hint } from '@lockstep/contract';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { Asker, Asks } from '../engine/engine.ts';
import type { Feed } from '../feed/feed.ts';
import { createRateLimit } from './rate-limit.ts';

/** Hints may be lost, and the control plane that had one may die: asked again this often while somebody waits. */
const askAgainMs = 1_000;
const maxRefusals = 100_000;
const longestRefusalMs = 86_400_000;
/** A limit that is reached is told of this often, or a scan would fill the log. */
const tellLimitMs = 60_000;

/** What became of an ask; `refused_before`: remembered, nobody was asked. `unanswered`: nobody waits any more. */
export const askOutcomes = ['allowed', 'refused', 'refused_before', 'limited', 'unanswered'] as const;
export type AskOutcome = (typeof askOutcomes)[number];

export interface AsksOptions {
  node: string;
  feed: Pick<Feed, 'sendHint' | 'watchHints'>;
  onDemand(): EdgeOnDemand | null;
  log: Logger;
  boundary: Boundary;
  onOutcome(outcome: AskOutcome): void;
  now?: () => number;
}

interface Ask {
  askers: Set<Asker>;
  timer: NodeJS.Timeout;
  answered: boolean;
}

/**
 * Asks the control planes about unknown hosts that handshakes wait for, each once however many wait, and at most as many as the
 * settings allow for each client and in all.
 */
export function createAsks(options: AsksOptions): Asks & { close(): void } {
  const { node, feed, log, boundary, onOutcome, now = Date.now } = options;
  const asks = new Map<string, Ask>();
  /** By the endpoint `refusedBy`: another one may say otherwise. */
  // Not by `max`, which takes the room for all of them at once.
  const refusedUntil = new LRUCache<string, number>({ maxSize: maxRefusals, sizeCalculation: () => 1 });
  const perClient = createRateLimit({ now });
  const total = createRateLimit({ now });
  let refusedBy: string | undefined;
  let failing = false;
  let toldOfLimit = Number.NEGATIVE_INFINITY;

  function send(host: string): void {
    feed.sendHint({ hint: 'ask', host, node }).then(
      () => {
        failing = false;
      },
      (error) => {
        if (!failing) log.warn({ err: error }, 'unknown hosts cannot be asked about');
        failing = true;
      },
    );
  }

  function end(host: string, { timer }: Ask): void {
    clearInterval(timer);
    asks.delete(host);
  }

  function leave(asker: Asker, host: string, ask: Ask): void {
    if (!ask.askers.delete(asker) || ask.askers.size > 0) return;
    end(host, ask);
    if (!ask.answered) onOutcome('unanswered');
  }

  function forgetOthers(): void {
    const by = options.onDemand()?.askDigest;
    if (by !== refusedBy) refusedUntil.clear();
    refusedBy = by;
  }

  function wasRefused(host: string): boolean {
    forgetOthers();
    const until = refusedUntil.get(host);
    if (until === undefined) return false;
    if (until > now()) return true;
    refusedUntil.delete(host);
    return false;
  }

  function withinLimits(client: string, { perClientPerMinute, totalPerMinute }: EdgeOnDemand): boolean {
    if (!total.has('', totalPerMinute)) return tellOfLimit({ totalPerMinute });
    if (!perClient.has(client, perClientPerMinute)) return tellOfLimit({ perClientPerMinute, client });
    total.take('', totalPerMinute);
    perClient.take(client, perClientPerMinute);
    return true;
  }

  function tellOfLimit(limit: Record<string, string | number>): false {
    if (now() - toldOfLimit >= tellLimitMs) {
      toldOfLimit = now();
      log.warn(limit, 'unknown hosts are refused without a question: a limit of onDemand is reached');
    }
    return false;
  }

  function onHint(hint: Hint): void {
    if (hint.hint !== 'verdict') return;
    const { host, allowed, until } = hint;
    forgetOthers();
    if (allowed) refusedUntil.delete(host);
    else refusedUntil.set(host, Math.min(until, now() + longestRefusalMs));
    const ask = asks.get(host);
    if (ask === undefined) return;
    if (!ask.answered) onOutcome(allowed ? 'allowed' : 'refused');
    ask.answered = true;
    if (allowed) return;
    end(host, ask);
    for (const asker of ask.askers) asker.refuse(host, null);
  }

  const unwatch = feed.watchHints(boundary.guard('hint', onHint));

  return {
    ask(asker, host, client) {
      const under = asks.get(host);
      if (under !== undefined) {
        under.askers.add(asker);
        return;
      }
      const onDemand = options.onDemand();
      if (onDemand === null) {
        asker.refuse(host, null);
      } else if (wasRefused(host)) {
        onOutcome('refused_before');
        asker.refuse(host, null);
      } else if (!withinLimits(client, onDemand)) {
        onOutcome('limited');
        asker.refuse(host, client);
      } else {
        const timer = setInterval(
          boundary.guard('ask', () => send(host)),
          askAgainMs,
        );
        asks.set(host, { askers: new Set([asker]), timer, answered: false });
        send(host);
      }
    },
    enough(asker, host) {
      const ask = asks.get(host);
      if (ask !== undefined) leave(asker, host, ask);
    },
    gone(asker) {
      for (const [host, ask] of asks) leave(asker, host, ask);
    },
    close() {
      unwatch();
      for (const [host, ask] of asks) end(host, ask);
    },
  };
}
