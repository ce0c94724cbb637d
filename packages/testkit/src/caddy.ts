import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild } from './child.ts';
import { cacheFolder, fetchDebianPackages } from './debian-package.ts';
import { freePort } from './free-port.ts';
import { waitFor } from './wait-for.ts';

export interface Caddy {
  /** Of the admin API. */
  readonly url: string;
  /** Where it listens for clients over TLS, and in the clear. */
  readonly httpsPort: number;
  readonly httpPort: number;
  /** Where it keeps its certificates. */
  readonly storage: string;
  /** The program. */
  readonly command: string;
  /** What it wrote so far, by line. */
  readonly log: readonly string[];
  close(): Promise<void>;
}

export interface CaddyOptions {
  routes?: unknown[];
  /** Of `apps.tls.automation`. */
  automation?: object;
  httpPort?: number;
}

/** Debian unstable's Caddy, fetched once: the stable suites' is years older. */
export async function fetchCaddy(): Promise<string> {
  const tree = cacheFolder('caddy');
  await fetchDebianPackages({ packages: ['caddy'], suite: 'unstable', into: tree });
  return join(tree, 'usr/bin/caddy');
}

/** A Caddy of the test's own on loopback, with one server `srv0`. Resolves when its admin API answers. */
export async function startCaddy({ routes = [], automation, ...options }: CaddyOptions = {}): Promise<Caddy> {
  const command = await fetchCaddy();
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-caddy-'));
  const [admin, httpsPort, httpPort] = [
    await freePort(),
    await freePort(),
    options.httpPort ?? (await freePort()),
  ];
  const storage = join(dir, 'storage');
  const server = { listen: [`127.0.0.1:${httpsPort}`], protocols: ['h1', 'h2'], routes };
  const config = {
    admin: { listen: `127.0.0.1:${admin}`, config: { persist: false } },
    storage: { module: 'file_system', root: storage },
    apps: {
      http: { http_port: httpPort, https_port: httpsPort, servers: { srv0: server } },
      // Its root goes into no store of this machine.
      pki: { certificate_authorities: { local: { install_trust: false } } },
      tls: { automation: automation ?? { policies: [{ issuers: [{ module: 'internal' }] }] } },
    },
  };
  await writeFile(join(dir, 'caddy.json'), JSON.stringify(config));
  const child = startChild({
    command,
    args: ['run', '--config', join(dir, 'caddy.json')],
    env: { HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir },
  });
  const close = async () => {
    await child.signal('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${admin}`;
  const answers = async () =>
    child.ended() !== null || (await fetch(`${url}/config/`, { headers: { origin: url } })).ok;
  await waitFor(answers, { what: 'Caddy to answer' }).catch(async (error) => {
    await close();
    throw error;
  });
  if (child.ended() === null) return { url, httpsPort, httpPort, storage, command, log: child.log, close };
  await close();
  throw new Error(`Caddy ended (${child.ended()}):\n${child.output()}`);
}
