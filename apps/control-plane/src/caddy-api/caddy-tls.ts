import { CaddyFault } from '@lockstep/caddy';
import { wildcardOf } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { CertificateService } from '../certificates/certificate-service.ts';
import type { WriteOrigin } from '../changes/writes.ts';
import { refused } from './caddy-routes.ts';

/** What backends tell `apps.tls`. */
export interface CaddyTls {
  /** `segments`: what follows `/config/apps/tls`. Throws `CaddyFault`. */
  change(origin: WriteOrigin, method: string, segments: string[], body: unknown): Promise<void>;
}

export interface CaddyTlsOptions {
  store: Pick<ConfigStore, 'findClaims'>;
  certificates: Pick<CertificateService, 'bring'>;
}

export function createCaddyTls({ store, certificates }: CaddyTlsOptions): CaddyTls {
  async function load(origin: WriteOrigin, body: unknown): Promise<void> {
    const { certificate, key } = (body ?? {}) as { certificate?: unknown; key?: unknown };
    if (typeof certificate !== 'string') throw refused('certificate', 'is missing');
    if (typeof key !== 'string') throw refused('key', 'is missing');
    await certificates.bring(origin, { chain: certificate, key });
  }

  /** A certificate comes with the route of its host: there is nothing to do where it has one. */
  async function requireRoute(host: unknown): Promise<void> {
    if (typeof host !== 'string') throw new CaddyFault(400, 'is no name of a host');
    const names = [host.toLowerCase(), wildcardOf(host.toLowerCase()) ?? host.toLowerCase()];
    const found = await Promise.all(names.map((name) => store.findClaims(`${name} `, 1)));
    if (found.flat().length === 0)
      throw refused(
        host,
        'has no route yet; Lockstep obtains its certificate with its route, so post that alone',
      );
  }

  return {
    async change(origin, method, segments, body) {
      const path = segments.join('/');
      const many = segments.at(-1) === '...' || (method !== 'POST' && Array.isArray(body));
      const values = many ? (Array.isArray(body) ? body : [body]) : [body];
      if (method !== 'DELETE' && /^certificates\/load_pem(\/\.\.\.|\/\d+)?$/.test(path)) {
        for (const value of values) await load(origin, value);
        return;
      }
      if (method !== 'DELETE' && /^certificates\/automate(\/\.\.\.|\/\d+)?$/.test(path)) {
        for (const value of values) await requireRoute(value);
        return;
      }
      if (method !== 'DELETE' && /^automation\/policies\/\d+\/subjects(\/\.\.\.|\/\d+)?$/.test(path)) {
        for (const value of values) await requireRoute(value);
        return;
      }
      throw refused(
        `/config/apps/tls/${path}`,
        'is set by issuers, settings and routes: /v1/issuers, /v1/settings',
      );
    },
  };
}
