import type { PutRoute } from '@lockstep/contract/schemas';
import type { Condition } from './scope.ts';

/** What of a route is looked at here; secrets are not there. */
export type RenderedRoute = Partial<Omit<PutRoute, 'id' | 'basicAuth'>> & Pick<PutRoute, 'hosts' | 'paths'>;

/** A route as Caddy would have it, as far as it can be said there. */
export function renderRoute(caddyId: string, route: RenderedRoute): object {
  const { hosts, paths, methods, match } = route;
  const all = paths.length === 1 && paths[0] === '/';
  const strip = route.rewrite?.stripPrefix;
  return {
    '@id': caddyId,
    match: [
      {
        host: hosts,
        ...(!all && { path: paths.map(pathOf) }),
        ...(methods && { method: methods }),
        ...(match?.headers && { header: conditionsOf(match.headers as Condition[]) }),
        ...(match?.query && { query: conditionsOf(match.query as Condition[]) }),
      },
    ],
    handle: [
      ...headersOf(route),
      ...(route.compression ? [{ handler: 'encode', encodings: { gzip: {}, zstd: {} } }] : []),
      ...(strip === undefined ? [] : [{ handler: 'rewrite', strip_path_prefix: strip }]),
      answerOf(route),
    ],
    terminal: true,
  };
}

function pathOf(path: string): string {
  return path.startsWith('=') ? path.slice(1) : path === '/' ? '/*' : `${path}/*`;
}

function conditionsOf(conditions: Condition[]): object {
  return Object.fromEntries(
    conditions.map((one) => [one.name, 'equals' in one ? [one.equals] : one.present ? ['*'] : null]),
  );
}

function headersOf({ headers, hsts }: RenderedRoute): object[] {
  const set = { ...headers?.response?.set, ...(hsts && { 'Strict-Transport-Security': hstsOf(hsts) }) };
  const remove = headers?.response?.remove;
  if (Object.keys(set).length === 0 && remove === undefined) return [];
  const lists = Object.fromEntries(Object.entries(set).map(([name, value]) => [name, [value]]));
  const response = {
    ...(Object.keys(lists).length > 0 && { set: lists }),
    ...(remove && { delete: remove }),
  };
  return [{ handler: 'headers', response }];
}

function hstsOf({ maxAge, includeSubDomains, preload }: NonNullable<RenderedRoute['hsts']>): string {
  return [
    `max-age=${maxAge}`,
    ...(includeSubDomains ? ['includeSubDomains'] : []),
    ...(preload ? ['preload'] : []),
  ].join('; ');
}

function answerOf(route: RenderedRoute): object {
  const { redirect, response, upstreams = [] } = route;
  if (redirect !== undefined) {
    const rest =
      redirect.keepPath && redirect.keepQuery
        ? '{http.request.uri}'
        : redirect.keepPath
          ? '{http.request.uri.path}'
          : '';
    return {
      handler: 'static_response',
      status_code: redirect.status,
      headers: { Location: [redirect.to + rest] },
    };
  }
  if (response !== undefined) {
    const headers = Object.entries(response.headers ?? {}).map(([name, value]) => [name, [value].flat()]);
    return {
      handler: 'static_response',
      status_code: response.status,
      ...(headers.length > 0 && { headers: Object.fromEntries(headers) }),
      ...(response.body && { body: response.body }),
    };
  }
  const [first] = upstreams;
  const secure = first?.url.startsWith('https:') ?? false;
  const tls = {
    ...(first?.tls?.serverName && { server_name: first.tls.serverName }),
    ...(first?.tls?.verify === false && { insecure_skip_verify: true }),
  };
  const set = {
    ...(first?.host === 'upstream' && { Host: '{http.reverse_proxy.upstream.hostport}' }),
    ...route.headers?.request?.set,
  };
  return {
    handler: 'reverse_proxy',
    upstreams: upstreams.map(({ url }) => ({ dial: dialOf(url) })),
    ...(secure && { transport: { protocol: 'http', tls } }),
    ...(first?.protocol === 'h2c' && { transport: { protocol: 'http', versions: ['h2c'] } }),
    ...(Object.keys(set).length > 0 && {
      headers: {
        request: {
          set: Object.fromEntries(
            Object.entries(set).map(([name, value]) => [name, [placeholdersOf(value)]]),
          ),
        },
      },
    }),
  };
}

function placeholdersOf(value: string): string {
  return value
    .replaceAll('{client_address}', '{http.request.remote.host}')
    .replaceAll(/\{(host|scheme)\}/g, '{http.request.$1}');
}

function dialOf(url: string): string {
  if (url.startsWith('unix:')) return `unix/${url.slice('unix:'.length)}`;
  const { host, port, protocol } = new URL(url);
  return port === '' ? `${host}:${protocol === 'https:' ? 443 : 80}` : host;
}
