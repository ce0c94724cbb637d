import type { Boundary, Hint, Traffic } from '@lockstep/contract';
import type { Feed } from '../feed/feed.ts';

export interface ToldTrafficOptions {
  node: string;
  feed: Pick<Feed, 'sendHint' | 'watchHints'>;
  /** What this edge served of a route, of each of `trafficMinutes`. */
  traffic(route: string): Promise<Traffic[]>;
  boundary: Boundary;
}

/** Tells control planes that ask what this edge served of a route: there is far too much of it for its reports. */
export function createToldTraffic({ node, feed, traffic, boundary }: ToldTrafficOptions): { close(): void } {
  const unwatch = feed.watchHints(
    boundary.guard('hint', async (hint: Hint) => {
      if (hint.hint !== 'traffic') return;
      await feed.sendHint({ hint: 'traffic-served', id: hint.id, node, traffic: await traffic(hint.route) });
    }),
  );
  return { close: unwatch };
}
