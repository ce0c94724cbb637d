import type { PlannedRoute } from './planned-route.ts';
import { fieldsAt, listAt } from './read-json.ts';

/** A route of a server as it stands there, of which one route here came. */
export interface WholeRoute {
  /** Of the route here. */
  id: string;
  server: string;
  body: unknown;
  /** Whether it has passwords in it. */
  secret: boolean;
}

/** The routes of all servers that became one route each, in their order: such a one can be given back as it stood. */
export function wholeRoutesOf(config: unknown, planned: readonly PlannedRoute[]): WholeRoute[] {
  const servers = Object.entries(fieldsAt(fieldsAt(fieldsAt(fieldsAt(config).apps).http).servers));
  return servers.flatMap(([server, value]) =>
    listAt(fieldsAt(value).routes).flatMap((body, index) => {
      const place = `apps.http.servers.${server}.routes.${index}.`;
      const [one, ...others] = planned.filter(({ at }) => at.startsWith(place));
      if (one === undefined || others.length > 0) return [];
      return [{ id: one.id, server, body, secret: one.body.basicAuth !== undefined }];
    }),
  );
}
