import { AppError, type StoredRecord } from '@lockstep/contract';
import type { Edit, RouteEdits } from './route-edits.ts';
import { routeNotFound } from './route-refusals.ts';

/** The edits that have a route name one more host, or one less. */
export function createRouteHosts({ edited }: Pick<RouteEdits, 'edited'>) {
  function withHost(id: string, host: string): Edit {
    return (current) => {
      if (current === null) throw routeNotFound(id);
      return edited(id, current, (given) => ({ ...given, hosts: [...hostsNamed(current), host] }));
    };
  }

  function withoutHost(id: string, host: string): Edit {
    return (current) => {
      if (current === null) throw routeNotFound(id);
      const named = hostsNamed(current);
      if (!named.includes(host))
        throw new AppError('not_found', `route "${id}" does not name "${host}"`, {
          facts: { route: id, host },
        });
      if (named.length === 1)
        throw new AppError('wrong_state', `"${host}" is the only host of route "${id}"; delete the route`, {
          facts: { route: id, host },
        });
      return edited(id, current, (given) => ({ ...given, hosts: named.filter((one) => one !== host) }));
    };
  }

  return { withHost, withoutHost };
}

function hostsNamed({ value: { hosts } }: StoredRecord<'route'>): string[] {
  return Array.isArray(hosts) ? hosts : [];
}
