import { join, resolve } from 'node:path';
import { type Address, AppError, parseAddress } from '@lockstep/contract';
import { Command, Option } from 'commander';
import { address, checkStoreUrl, hostName, shownAddress } from './option-values.ts';
import {
  acmeVariables,
  adminHostsOption,
  caddyApiOption,
  dataDirOption,
  environmentHelp,
  logLevelOption,
  storeOption,
  storePrefixOption,
} from './shared-options.ts';

const defaultListen = parseAddress('127.0.0.1:7400', '--listen');

export function controlPlaneCommand(): Command {
  return new Command('control-plane')
    .description('run a control plane over Redis; any number of them may share one store')
    .addOption(
      new Option('--listen <address>', 'where the API listens')
        .env('LOCKSTEP_LISTEN')
        .argParser(address)
        .default(defaultListen, shownAddress(defaultListen)),
    )
    .addOption(adminHostsOption())
    .addOption(
      new Option(
        '--tls-cert <file>',
        'serve the API over TLS: PEM, the certificate and its chain; read anew when it changes',
      ).env('LOCKSTEP_TLS_CERT'),
    )
    .addOption(new Option('--tls-key <file>', 'the key of --tls-cert, PEM').env('LOCKSTEP_TLS_KEY'))
    .addOption(
      new Option(
        '--tls-client-ca <file>',
        'let nobody connect without a certificate of these CAs, PEM; tokens are asked for all the same',
      ).env('LOCKSTEP_TLS_CLIENT_CA'),
    )
    .addOption(caddyApiOption())
    .addOption(
      new Option(
        '--tls-host <name>',
        'serve the API over TLS under this name, with a certificate that the fleet obtains and renews',
      )
        .env('LOCKSTEP_TLS_HOST')
        .argParser(hostName),
    )
    .addOption(storeOption())
    .addOption(storePrefixOption())
    .addOption(dataDirOption('.lockstep/control-plane'))
    .addOption(
      new Option('--new-store', 'begin a new history although this data folder knows of an older one').env(
        'LOCKSTEP_NEW_STORE',
      ),
    )
    .addOption(
      new Option('--restored', 'the store was put back from a backup: begin a new epoch, once').env(
        'LOCKSTEP_RESTORED',
      ),
    )
    .addOption(logLevelOption())
    .addHelpText(
      'after',
      environmentHelp({
        LOCKSTEP_SECRET_KEY: 'seals what is secret; the same for all control planes; see `lockstep keygen`',
        LOCKSTEP_ADMIN_TOKEN: 'bearer token of the API, 16 printable characters or more',
        ...acmeVariables,
      }),
    )
    .action(async (flags: ControlPlaneFlags) => {
      const storeUrl = checkStoreUrl(flags.store);
      const { runControlPlane } = await import('@lockstep/control-plane/run');
      await runControlPlane({
        listen: flags.listen,
        adminHosts: flags.adminHosts,
        caddyApi: flags.caddyApi ?? null,
        tls: tlsOf(flags),
        dataDir: resolve(flags.dataDir ?? join('.lockstep', 'control-plane')),
        storeUrl,
        storePrefix: flags.storePrefix,
        logLevel: flags.logLevel,
        newStore: flags.newStore ?? false,
        restored: flags.restored ?? false,
      });
    });
}

function tlsOf({ tlsHost, tlsCert, tlsKey, tlsClientCa }: ControlPlaneFlags) {
  if (tlsHost !== undefined) {
    if ((tlsCert ?? tlsKey ?? tlsClientCa) === undefined) return { host: tlsHost };
    throw new AppError(
      'bad_configuration',
      '--tls-host (LOCKSTEP_TLS_HOST) stands alone: leave out --tls-cert, --tls-key and --tls-client-ca',
    );
  }
  if (tlsCert === undefined && tlsKey === undefined && tlsClientCa === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined)
    throw new AppError(
      'bad_configuration',
      'TLS takes both --tls-cert and --tls-key (LOCKSTEP_TLS_CERT, LOCKSTEP_TLS_KEY)',
    );
  return {
    cert: resolve(tlsCert),
    key: resolve(tlsKey),
    clientCa: tlsClientCa === undefined ? null : resolve(tlsClientCa),
  };
}

interface ControlPlaneFlags {
  tlsHost?: string;
  tlsCert?: string;
  tlsKey?: string;
  tlsClientCa?: string;
  listen: Address;
  adminHosts: string[];
  caddyApi?: Address;
  store?: string;
  storePrefix: string;
  dataDir?: string;
  newStore?: boolean;
  restored?: boolean;
  logLevel: string;
}
