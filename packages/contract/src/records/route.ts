import type { PutRoute } from '../api/route.ts';
import { isFields, isList, isText } from '../shared/fields.ts';
import { recordKind } from './kind-module.ts';

/** A route as the store keeps it and edges receive it. */
export interface RouteRecord extends Omit<PutRoute, 'id'> {
  createdAt: string;
  updatedAt: string;
}

export const route = recordKind<RouteRecord>()({
  kind: 'route',
  audience: 'edge',
  version: 1,
  secret: {},
  journal: () => true,
  fault: ({ hosts, paths, upstreams }) =>
    hostsFault(hosts) ??
    (isList(paths) && paths.every((path) => isText(path) && path.startsWith('/'))
      ? null
      : 'has a path that does not start with /, or none') ??
    (isList(upstreams) ? upstreamsFault(upstreams) : 'has no upstreams'),
});

const servedHost = /^(?:\*\.)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const maxHostLength = 253;
const origin = /^https?:\/\/[^\s/?#@\\]+\/?$/;

export function hostsFault(hosts: unknown): string | null {
  if (!isList(hosts)) return 'has no hosts';
  for (const host of hosts) {
    if (!isText(host) || host.length > maxHostLength || !servedHost.test(host))
      return 'has a host that is none';
  }
  return null;
}

export function upstreamsFault(upstreams: readonly unknown[]): string | null {
  for (const one of upstreams) {
    if (!isFields(one) || !isText(one.url) || !origin.test(one.url) || !URL.canParse(one.url)) {
      return 'has an upstream that is not an http or https address';
    }
  }
  return null;
}
