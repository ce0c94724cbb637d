import type { Boundary, Hint, UpstreamState } from '@lockstep/contract';
import type { Logger } from 'pino';
import type { Feed } from '../../feed/feed.ts';

const mostTold = 200;

export interface ToldUpstreamsOptions {
  node: string;
  feed: Pick<Feed, 'sendHint' | 'watchHints'>;
  states(): UpstreamState[];
  log: Logger;
  boundary: Boundary;
}

/** Tells control planes that ask how this edge finds its upstreams: there may be far too many of them for its reports. */
export function createToldUpstreams(options: ToldUpstreamsOptions): { close(): void } {
  const { node, feed, states, log, boundary } = options;

  function tell({ id, after, limit }: Extract<Hint, { hint: 'upstreams' }>): void {
    const left = states()
      .filter(({ key }) => key > after)
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    const told = left.slice(0, Math.min(Math.max(limit, 1), mostTold));
    const next = left.length > told.length ? (told.at(-1)?.key ?? null) : null;
    feed
      .sendHint({ hint: 'upstream-states', id, states: told, next })
      .catch((error) => log.debug({ err: error }, 'how its upstreams are was not told'));
  }

  const unwatch = feed.watchHints(
    boundary.guard('hint', (hint: Hint) => {
      if (hint.hint === 'upstreams' && hint.node === node) tell(hint);
    }),
  );
  return { close: unwatch };
}
