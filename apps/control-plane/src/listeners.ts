import type { Address } from '@lockstep/contract';
import { listen } from './api/listen.ts';
import { createServer, type ServerOptions } from './api/server.ts';
import type { CaddyApiOptions } from './caddy-api/caddy-api.ts';
import {
  type ListenerCertificateOptions,
  openListenerCertificate,
} from './certificates/listener-certificate.ts';
import type { ControlPlaneConfig } from './startup/config.ts';
import { openTlsFiles, type TlsSource } from './startup/tls-files.ts';

/** Where a control plane answers: its API, and Caddy's admin API where that is spoken. */
export interface Listeners {
  /** Names that control planes serve themselves. */
  readonly ownHosts: readonly string[];
  /** Where they listen, or will, and what else this machine is told to be of its own. */
  addresses(): Address[];
  /** Gives the addresses back with a real port where 0 was asked for. Throws `bad_configuration`. */
  open(options: OpenListeners): Promise<{ api: Address; caddyApi: Address | null; secure: boolean }>;
  close(): Promise<void>;
}

export interface OpenListeners {
  /** What the certificate of the API's own name takes. */
  certificate: Omit<ListenerCertificateOptions, 'host'>;
  api: Omit<ServerOptions, 'tls' | 'adminHosts'>;
  caddyApi: Omit<CaddyApiOptions, 'access' | 'tls' | 'listen' | 'adminHosts' | 'stopping' | 'log'>;
}

export function createListeners(config: ControlPlaneConfig): Listeners {
  const closers: (() => unknown)[] = [];
  const ownHosts = config.tls !== undefined && 'host' in config.tls ? [config.tls.host] : [];
  let api: Address = config.listen;
  let caddyApi: Address | null = config.caddyApi ?? null;

  async function openTls(certificate: OpenListeners['certificate']): Promise<TlsSource | undefined> {
    if (config.tls === undefined) return undefined;
    if (!('host' in config.tls)) return openTlsFiles(config.tls, certificate.log);
    return openListenerCertificate({ ...certificate, host: config.tls.host });
  }

  async function openCaddyApi(
    address: Address,
    tls: TlsSource | undefined,
    { access, stopping }: OpenListeners['api'],
    options: OpenListeners['caddyApi'],
    log: CaddyApiOptions['log'],
  ): Promise<Address> {
    const { createCaddyApi } = await import('./caddy-api/caddy-api.ts');
    const { adminHosts } = config;
    const caddy = createCaddyApi({ ...options, access, tls, listen: address, adminHosts, stopping, log });
    closers.push(caddy.close);
    return caddy.listen();
  }

  return {
    ownHosts,
    addresses: () => [api, ...(caddyApi === null ? [] : [caddyApi]), ...(config.ownServices ?? [])],
    async open(options) {
      const tls = await openTls(options.certificate);
      if (tls !== undefined) closers.push(tls.close);
      const adminHosts = [config.listen.host, ...config.adminHosts, ...ownHosts];
      const app = await createServer({ ...options.api, tls, adminHosts });
      closers.push(() => app.close());
      api = await listen(app, config.listen);
      if (caddyApi !== null)
        caddyApi = await openCaddyApi(caddyApi, tls, options.api, options.caddyApi, options.certificate.log);
      return { api, caddyApi, secure: tls !== undefined };
    },
    async close() {
      for (const closer of closers.splice(0).reverse()) await closer();
    },
  };
}
