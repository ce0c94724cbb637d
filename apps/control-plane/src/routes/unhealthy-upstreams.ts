import { healthKeyOf, type RouteStatus, type StoredRecord, withDefaults } from '@lockstep/contract';
import type { FleetView } from '../fleet/fleet.ts';

/** Which upstreams of a route the connected nodes find unhealthy, as they reported last; nothing where none does. */
export function unhealthyUpstreams(
  { value }: StoredRecord<'route'>,
  { nodes, defaults, now }: FleetView,
): Pick<RouteStatus, 'unhealthy'> {
  const { upstreams = [], health } = withDefaults(value, defaults);
  const telling = nodes.filter(({ connected, unhealthy }) => connected && unhealthy.size > 0);
  if (health === undefined || telling.length === 0) return {};
  const keys = upstreams.map((upstream) => healthKeyOf(upstream, health));
  const found = telling.flatMap(({ node, unhealthy }) =>
    keys.flatMap((key) => {
      const known = unhealthy.get(key);
      if (known === undefined) return [];
      const { url, since, detail: why } = known;
      const detail = `${node} finds ${url} unhealthy since ${shortTime(since, now)}: ${why}`;
      return [{ node, url, since, detail }];
    }),
  );
  return found.length === 0 ? {} : { unhealthy: found };
}

/** `14:02`, by UTC, of the last day; with its date when it was before. */
function shortTime(at: string, now: number): string {
  const [date = '', time = ''] = at.split('T');
  const short = time.slice(0, 5);
  return now - Date.parse(at) < 86_400_000 ? short : `${date} ${short}`;
}
