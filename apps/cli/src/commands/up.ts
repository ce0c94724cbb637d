import { resolve } from 'node:path';
import type { Address } from '@lockstep/contract';
import { Command, Option } from 'commander';
import { planAddresses } from '../up/plan-addresses.ts';
import type { OpenLog } from '../up/run-up.ts';
import { portNumber, wholeNumber } from './option-values.ts';
import {
  acmeVariables,
  adminHostsOption,
  caddyApiOption,
  dataDirOption,
  environmentHelp,
  logLevelOption,
} from './shared-options.ts';

const mostEdges = 16;

export function upCommand({ openLog, version }: { openLog: OpenLog; version: string }): Command {
  return new Command('up')
    .description('run a control plane and edges on this machine, without Redis')
    .addOption(
      new Option('--edges <count>', 'how many edges')
        .env('LOCKSTEP_EDGES')
        .argParser(wholeNumber(1, mostEdges))
        .default(2),
    )
    .addOption(port('--port <port>', 'of the API', 'LOCKSTEP_PORT', 7400))
    .addOption(
      port(
        '--https-port <port>',
        'HTTPS of the first edge; the others count up',
        'LOCKSTEP_HTTPS_PORT',
        8443,
      ),
    )
    .addOption(
      port('--http-port <port>', 'HTTP of the first edge; the others count up', 'LOCKSTEP_HTTP_PORT', 8080),
    )
    .addOption(
      port(
        '--admin-port <port>',
        'health and metrics of the first edge; the others count up',
        'LOCKSTEP_ADMIN_PORT',
        9100,
      ),
    )
    .addOption(adminHostsOption())
    .addOption(caddyApiOption())
    .addOption(dataDirOption('.lockstep'))
    .addOption(
      new Option('--demo', 'start a small upstream, post a route to it and show every edge serving it').env(
        'LOCKSTEP_DEMO',
      ),
    )
    .addOption(logLevelOption())
    .addHelpText(
      'after',
      environmentHelp({
        LOCKSTEP_SECRET_KEY: 'seals private keys; without it, the first start makes <data-dir>/secret-key',
        LOCKSTEP_ADMIN_TOKEN:
          'bearer token of the API; without it, the first start makes <data-dir>/admin-token',
        ...acmeVariables,
      }),
    )
    .action(async (flags: UpFlags) => {
      const { runUp } = await import('../up/run-up.ts');
      await runUp(
        {
          version,
          dataDir: resolve(flags.dataDir ?? '.lockstep'),
          plan: planAddresses(flags),
          adminHosts: flags.adminHosts,
          caddyApi: flags.caddyApi ?? null,
          demo: flags.demo ?? false,
          logLevel: flags.logLevel,
        },
        { openLog, print: (line) => process.stdout.write(`${line}\n`) },
      );
    });
}

interface UpFlags {
  edges: number;
  port: number;
  httpsPort: number;
  httpPort: number;
  adminPort: number;
  adminHosts: string[];
  caddyApi?: Address;
  dataDir?: string;
  demo?: boolean;
  logLevel: string;
}

function port(flags: string, description: string, variable: string, value: number): Option {
  return new Option(flags, description).env(variable).argParser(portNumber).default(value);
}
