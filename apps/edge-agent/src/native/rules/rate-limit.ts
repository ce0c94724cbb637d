import { type BucketLimit, clientKey, type RouteRecord } from '@lockstep/contract';
import type { Gate } from './rule.ts';
import type { RuleServices } from './rule-services.ts';
import type { RuledRequest } from './ruled-request.ts';

/** Of a header's value: a bucket is not to hold a whole head. */
const longestKey = 200;

/** `rateLimit` of a route. The buckets go by the route's id, and outlive its changes: a limit is not to be had anew by one. */
export function compileRateLimit(
  { rateLimit }: RouteRecord,
  route: string,
  { buckets }: Pick<RuleServices, 'buckets'>,
): Gate | null {
  if (rateLimit === undefined) return null;
  const { requests, perMs, burst = requests, by } = rateLimit;
  const limit: BucketLimit = { count: burst, refillSeconds: perMs / 1_000 / requests };
  const keyOf = keyFrom(by);
  return {
    pass(request) {
      // The clock on the wall may go back, and buckets would stand still for as long.
      const now = performance.now();
      const at = buckets.take(`${route} ${keyOf(request)}`, limit, now);
      if (at === null) return null;
      const seconds = Math.max(1, Math.ceil((at - now) / 1_000));
      return { reason: 'rate_limited', fields: ['retry-after', String(seconds)] };
    },
  };
}

type By = NonNullable<RouteRecord['rateLimit']>['by'];

function keyFrom(by: By): (request: RuledRequest) => string {
  if (by === 'route') return () => '';
  if (by === 'client_address') return ({ clientAddress }) => clientKey(clientAddress);
  const wanted = by.header.toLowerCase();
  return ({ headers }) => {
    let value = '';
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!;
      if (name.length === wanted.length && name.toLowerCase() === wanted) value += headers[i + 1]!;
    }
    return value.slice(0, longestKey);
  };
}
