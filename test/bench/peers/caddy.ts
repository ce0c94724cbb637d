import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '../free-ports.ts';
import { type Process, startProcess } from '../start-process.ts';
import type { Peer } from './peer.ts';

export const caddy: Peer = {
  name: 'Caddy',
  async start({ folder, port, hosts, upstreamPort, pemFile, command, workers }) {
    return startCaddy({
      folder,
      command,
      threads: workers,
      configuration: {
        admin: { listen: `127.0.0.1:${await freePorts(1)}`, config: { persist: false } },
        apps: {
          http: {
            servers: {
              https: {
                listen: [`127.0.0.1:${port}`],
                protocols: ['h1', 'h2'],
                automatic_https: { disable: true },
                tls_connection_policies: [{}],
                routes: [caddyRoute(hosts, upstreamPort)],
              },
            },
          },
          tls: { certificates: { load_files: [{ certificate: pemFile, key: pemFile }] } },
        },
      },
    });
  },
};

export function caddyRoute(hosts: readonly string[], upstreamPort: number): object {
  return {
    match: [{ host: hosts }],
    handle: [{ handler: 'reverse_proxy', upstreams: [{ dial: `127.0.0.1:${upstreamPort}` }] }],
    terminal: true,
  };
}

export interface CaddyOptions {
  folder: string;
  configuration: object;
  /** Default: the one on PATH. */
  command?: string;
  /** How many it may use; null: as many as there are cores. */
  threads: number | null;
}

/** Caddy with a configuration of its own, and its storage in `<folder>/storage`. */
export function startCaddy({
  folder,
  configuration,
  command = 'caddy',
  threads,
}: CaddyOptions): Promise<Process> {
  const path = join(folder, 'caddy.json');
  const storage = { module: 'file_system', root: join(folder, 'storage') };
  const logging = { logs: { default: { level: 'ERROR' } } };
  writeFileSync(path, JSON.stringify({ storage, logging, ...configuration }), { mode: 0o600 });
  return startProcess({
    // `env` replaces itself by the command: the process id is Caddy's own.
    command: 'env',
    args: [
      ...(threads === null ? [] : [`GOMAXPROCS=${threads}`]),
      `HOME=${folder}`,
      `XDG_CONFIG_HOME=${folder}`,
      `XDG_DATA_HOME=${folder}`,
      ...[command, 'run', '--config', path],
    ],
    logFile: join(folder, 'caddy.log'),
  });
}
