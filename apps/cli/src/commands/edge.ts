import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { type Address, nodeIdPattern, nodeIdRule } from '@lockstep/contract';
import { Command, InvalidArgumentError, Option } from 'commander';
import { address, checkStoreUrl, portNumber, wholeNumber } from './option-values.ts';
import {
  adminHostsOption,
  dataDirOption,
  environmentHelp,
  logLevelOption,
  storeOption,
  storePrefixOption,
} from './shared-options.ts';

const mostWorkers = 256;
const longestDrainMs = 3_600_000;

export function edgeCommand(): Command {
  return new Command('edge')
    .description('run an edge over Redis: it terminates TLS and forwards to upstreams')
    .addOption(
      new Option('--node <id>', 'the name of this edge in the fleet')
        .env('LOCKSTEP_NODE')
        .argParser(nodeId)
        .makeOptionMandatory(),
    )
    .addOption(listener('--https <address>', 'where HTTPS is served', 'LOCKSTEP_HTTPS'))
    .addOption(
      listener('--http <address>', 'where challenges are answered and HTTP redirected', 'LOCKSTEP_HTTP'),
    )
    .addOption(listener('--admin <address>', 'where /healthz, /readyz and /metrics are', 'LOCKSTEP_ADMIN'))
    .addOption(adminHostsOption())
    .addOption(storeOption())
    .addOption(storePrefixOption())
    .addOption(dataDirOption('.lockstep/<node>'))
    .addOption(
      new Option('--workers <count>', 'processes that serve; one per core is right for most')
        .env('LOCKSTEP_WORKERS')
        .argParser(wholeNumber(1, mostWorkers))
        .default(availableParallelism(), 'one per core'),
    )
    .addOption(
      new Option(
        '--public-https-port <port>',
        'the port clients use, for redirects (default: that of --https)',
      )
        .env('LOCKSTEP_PUBLIC_HTTPS_PORT')
        .argParser(portNumber),
    )
    .addOption(
      new Option('--drain-delay <ms>', 'how long a stop still takes connections while /readyz is 503')
        .env('LOCKSTEP_DRAIN_DELAY')
        .argParser(wholeNumber(0, longestDrainMs))
        .default(0),
    )
    .addOption(
      new Option('--drain-timeout <ms>', 'how long requests in flight then have to end')
        .env('LOCKSTEP_DRAIN_TIMEOUT')
        .argParser(wholeNumber(0, longestDrainMs))
        .default(7_000),
    )
    .addOption(logLevelOption())
    .addHelpText(
      'after',
      environmentHelp({
        LOCKSTEP_EDGE_KEY:
          'opens private keys of certificates; the same for all edges; see `lockstep keygen --edge`',
      }),
    )
    .action(async (flags: EdgeFlags) => {
      const storeUrl = checkStoreUrl(flags.store);
      const { runEdge } = await import('@lockstep/edge-agent/run');
      await runEdge(
        {
          node: flags.node,
          dataDir: resolve(flags.dataDir ?? join('.lockstep', flags.node)),
          https: flags.https,
          http: flags.http,
          admin: flags.admin,
          adminHosts: flags.adminHosts,
          publicHttpsPort: flags.publicHttpsPort ?? null,
          workers: flags.workers,
          logLevel: flags.logLevel,
          drainDelayMs: flags.drainDelay,
          drainTimeoutMs: flags.drainTimeout,
        },
        { storeUrl, storePrefix: flags.storePrefix },
      );
    });
}

interface EdgeFlags {
  node: string;
  https: Address;
  http: Address;
  admin: Address;
  adminHosts: string[];
  store?: string;
  storePrefix: string;
  dataDir?: string;
  workers: number;
  publicHttpsPort?: number;
  logLevel: string;
  drainDelay: number;
  drainTimeout: number;
}

function listener(flags: string, description: string, variable: string): Option {
  return new Option(flags, description).env(variable).argParser(address).makeOptionMandatory();
}

function nodeId(input: string): string {
  if (!nodeIdPattern.test(input)) throw new InvalidArgumentError(`${nodeIdRule}.`);
  return input;
}
