import { randomUUID } from 'node:crypto';
import {
  type Boundary,
  durationQuantile,
  type Hint,
  isTraffic,
  type RouteTraffic as ShownTraffic,
  sumOfTraffic,
  type Traffic,
  trafficMinutes,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Fleet } from './fleet.ts';

/** An edge that is well answers within a few milliseconds; a hint may be lost, so it is asked again. */
const askAgainMs = 500;
const patienceMs = 2_000;

/** What the edges served of single routes, asked of all of them when somebody wants to see it: nothing of it is in the store. */
export interface RouteTraffic {
  /** Adds up what those say that answer in time, and names the others. Throws `store_unavailable`. */
  read(route: string): Promise<ShownTraffic>;
  close(): void;
}

export interface RouteTrafficOptions {
  store: Pick<ConfigStore, 'sendHint' | 'watchHints'>;
  fleet: Pick<Fleet, 'liveNodes'>;
  boundary: Boundary;
}

type Served = Extract<Hint, { hint: 'traffic-served' }>;

export function createRouteTraffic({ store, fleet, boundary }: RouteTrafficOptions): RouteTraffic {
  const asked = new Map<string, (served: Served) => void>();

  const unwatch = store.watchHints(
    boundary.guard('hint', (hint: Hint) => {
      // What an edge says is a claim, and may be of any shape.
      if (hint.hint === 'traffic-served' && isTraffic(hint.traffic)) asked.get(hint.id)?.(hint);
    }),
  );

  async function ask(route: string, nodes: readonly string[]): Promise<Map<string, Traffic[]>> {
    const answers = new Map<string, Traffic[]>();
    if (nodes.length === 0) return answers;
    const id = randomUUID();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const send = () => store.sendHint({ hint: 'traffic', id, route }).catch(reject);
    const again = setInterval(send, askAgainMs);
    const over = setTimeout(resolve, patienceMs);
    asked.set(id, ({ node, traffic }) => {
      if (nodes.includes(node) && !answers.has(node)) answers.set(node, traffic);
      if (answers.size === nodes.length) resolve();
    });
    send();
    await promise.finally(() => {
      clearInterval(again);
      clearTimeout(over);
      asked.delete(id);
    });
    return answers;
  }

  return {
    async read(route) {
      const nodes = fleet.liveNodes().map(({ report }) => report.node);
      const answers = await ask(route, nodes);
      const sums = sumOfTraffic([...answers.values()]);
      return {
        route,
        windows: sums.map(({ requests, errors, bytesIn, bytesOut, durations }, i) => ({
          minutes: trafficMinutes[i]!,
          requests,
          errors,
          bytes: { in: bytesIn, out: bytesOut },
          p50Ms: durationQuantile(durations, 0.5),
          p99Ms: durationQuantile(durations, 0.99),
        })),
        nodes: {
          answered: nodes.filter((node) => answers.has(node)),
          missing: nodes.filter((node) => !answers.has(node)),
        },
      };
    },
    close: unwatch,
  };
}
