import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '@lockstep/testkit';
import { getBody, getBodyEventually } from './add-route-lockstep.ts';
import { freePorts } from './free-ports.ts';
import { bulkHost, type DataFolder } from './load-store.ts';
import { caddyRoute, startCaddy } from './peers/caddy.ts';
import { type Quantiles, quantilesOf } from './report.ts';
import type { Upstream } from './start-upstream.ts';

const startTimeoutMs = 180_000;

export interface CaddyFigures {
  routes: number;
  answeredMs: Quantiles;
  servedMs: Quantiles;
}

export interface CaddyOptions {
  /** With the chain and key of the loaded hosts. */
  folder: DataFolder;
  routes: number;
  posts: number;
  /** No further POST is begun after this long. */
  budgetMs: number;
  upstream: Upstream;
}

/**
 * The same with one Caddy, its internal issuer and its admin API. The loaded hosts share one certificate that is read once, where
 * Lockstep keeps one for each: in Caddy's favour.
 */
export async function measureCaddy({
  folder,
  routes,
  posts,
  budgetMs,
  upstream,
}: CaddyOptions): Promise<CaddyFigures> {
  const files = join(folder.path, 'caddy');
  mkdirSync(files);
  const port = await freePorts(2);
  const adminUrl = `http://127.0.0.1:${port + 1}`;
  const caddy = await startCaddy({
    folder: files,
    threads: null,
    configuration: {
      admin: { listen: `127.0.0.1:${port + 1}`, config: { persist: false } },
      apps: {
        http: {
          servers: {
            https: {
              listen: [`127.0.0.1:${port}`],
              protocols: ['h1', 'h2'],
              automatic_https: { disable_redirects: true },
              tls_connection_policies: [{}],
              routes: Array.from({ length: routes }, (_, index) =>
                caddyRoute([bulkHost(index)], upstream.port),
              ),
            },
          },
        },
        pki: { certificate_authorities: { local: { install_trust: false } } },
        tls: {
          certificates: { load_pem: [{ certificate: folder.chain, key: folder.keyPem }] },
          automation: { policies: [{ issuers: [{ module: 'internal' }] }] },
        },
      },
    },
  });
  try {
    await waitFor(
      () => {
        caddy.check();
        return getBody(port, bulkHost(0), folder.authority.certificate, upstream).then(() => true);
      },
      { what: 'Caddy to serve', timeoutMs: startTimeoutMs },
    );
    return { routes, ...(await addRoutes()) };
  } finally {
    await caddy.stop();
  }

  async function addRoutes() {
    const answered: number[] = [];
    const served: number[] = [];
    const end = performance.now() + budgetMs;
    for (let number = -1; number < posts && performance.now() < end; number += 1) {
      const host = `plain${number + 1}.new.example.com`;
      const begunAt = performance.now();
      const response = await fetch(`${adminUrl}/config/apps/http/servers/https/routes`, {
        method: 'POST',
        // `fetch` sends Sec-Fetch-Mode as a browser does, and Caddy 2.11 answers 403 to browsers of other origins than its own.
        headers: { 'content-type': 'application/json', origin: adminUrl },
        body: JSON.stringify(caddyRoute([host], upstream.port)),
      });
      if (!response.ok) throw new Error(`Caddy answers ${response.status}: ${await response.text()}`);
      await response.arrayBuffer();
      const answeredMs = performance.now() - begunAt;
      await getBodyEventually(port, host, rootOfCaddy(files), upstream);
      const servedMs = performance.now() - begunAt;
      if (number < 0) continue;
      answered.push(answeredMs);
      served.push(servedMs);
    }
    return { answeredMs: quantilesOf(answered), servedMs: quantilesOf(served) };
  }
}

function rootOfCaddy(files: string): string {
  return readFileSync(join(files, 'storage', 'pki', 'authorities', 'local', 'root.crt'), 'utf8');
}
