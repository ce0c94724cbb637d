import type { Tool } from './find-tool.ts';
import { runConnects } from './run-connects.ts';
import { runH2load } from './run-h2load.ts';
import { runWrk } from './run-wrk.ts';
import { largeBytes } from './start-upstream.ts';

export interface LoadOptions {
  folder: string;
  port: number;
  host: string;
  hosts: number;
  /** Whom to trust. */
  certificate: string;
  connections: number;
  seconds: number;
}

export interface LoadFigures {
  requests: number;
  errors: number;
  /** Milliseconds, where the tool tells. */
  p50?: number;
  p99?: number;
}

/** One way of asking a proxy for something. */
export interface ProxyCase {
  name: string;
  what: string;
  load(options: LoadOptions): Promise<LoadFigures>;
}

/** At once on each connection of HTTP/2; there are as many requests at once as over HTTP/1.1. */
const streams = 4;
/** Of new connections: more only wait for this client. */
const concurrency = 8;

/** Over HTTP/2 there are none without h2load. */
export function proxyCases(h2load: Tool | null): ProxyCase[] {
  const h1 = (name: string, what: string, request: { path?: string; bodyBytes?: number }): ProxyCase => ({
    name,
    what,
    load: ({ folder, port, host, connections, seconds }) =>
      runWrk({ folder, port, host, connections, seconds, ...request }),
  });
  const h2 = (name: string, what: string, path: string): ProxyCase[] =>
    h2load === null
      ? []
      : [
          {
            name,
            what,
            load: ({ port, host, connections, seconds }) =>
              runH2load({
                tool: h2load,
                ...{ port, host, path, streams, seconds },
                connections: Math.ceil(connections / streams),
              }),
          },
        ];
  const connects = (mode: 'full' | 'resumed', what: string): ProxyCase => ({
    name: mode,
    what,
    load: ({ port, certificate, hosts, seconds }) =>
      runConnects({ mode, port, certificate, hosts, seconds, concurrency }),
  });
  return [
    h1('h1', 'HTTP/1.1, kept alive, a small answer', {}),
    h1('h1-large', `HTTP/1.1, kept alive, ${largeBytes} bytes`, { path: '/large' }),
    ...h2('h2', 'HTTP/2, a small answer', '/'),
    ...h2('h2-large', `HTTP/2, ${largeBytes} bytes`, '/large'),
    h1('post', `HTTP/1.1, kept alive, a POST of ${largeBytes} bytes`, { bodyBytes: largeBytes }),
    connects('full', 'a new connection and request, full handshake'),
    connects('resumed', 'a new connection and request, resumed handshake'),
  ];
}
