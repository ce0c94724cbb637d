import type { Address } from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ApiInstance } from '../api/api-instance.ts';
import { listen } from '../api/listen.ts';
import { createIdentify, type IdentifyOptions } from '../auth/identify.ts';
import type { CertificateService } from '../certificates/certificate-service.ts';
import type { RouteService } from '../routes/route-service.ts';
import type { TlsSource } from '../startup/tls-files.ts';
import { createCaddyCalls } from './caddy-calls.ts';
import { createCaddyRoutes } from './caddy-routes.ts';
import { createCaddyServer } from './caddy-server.ts';
import { createCaddyTls } from './caddy-tls.ts';

export interface CaddyApiOptions {
  store: ConfigStore;
  routes: RouteService;
  certificates: CertificateService;
  sealer: Sealer;
  access: IdentifyOptions;
  /** In force beyond loopback. */
  tls: TlsSource | undefined;
  listen: Address;
  adminHosts: readonly string[];
  stopping: AbortSignal;
  log: Logger;
  now: () => number;
}

/** The calls of Caddy's admin API by which backends add and change sites, over the same services as the API. */
export interface CaddyApi {
  /** The address with a real port where 0 was asked for. Throws `bad_configuration`. */
  listen(): Promise<Address>;
  close(): Promise<void>;
}

export function createCaddyApi(options: CaddyApiOptions): CaddyApi {
  const { store, sealer, now, listen: address, log, stopping } = options;
  const open = /^(?:127\.\d+\.\d+\.\d+|localhost|\[?::1\]?)$/.test(address.host);
  const server = createCaddyServer({
    calls: createCaddyCalls({
      routes: createCaddyRoutes({ store, routes: options.routes, sealer, now }),
      tls: createCaddyTls({ store, certificates: options.certificates }),
    }),
    identify: createIdentify(options.access),
    open,
    tls: open ? undefined : options.tls,
    adminHosts: [address.host, ...options.adminHosts],
    stopping,
    log,
  });
  return {
    listen: () => listen(server as unknown as ApiInstance, address),
    close: async () => {
      await server.close();
    },
  };
}
