import { Option } from 'commander';
import { logLevels } from '../config.ts';
import { address, hostNames } from './option-values.ts';

export function storeOption(): Option {
  return new Option('--store <url>', 'the Redis that all processes of the fleet share').env('LOCKSTEP_STORE');
}

export function storePrefixOption(): Option {
  return new Option('--store-prefix <prefix>', 'begins every key in Redis; one per fleet')
    .env('LOCKSTEP_STORE_PREFIX')
    .default('lockstep');
}

export function dataDirOption(shownDefault: string): Option {
  return new Option(
    '--data-dir <folder>',
    `where this process keeps its files (default: ${shownDefault})`,
  ).env('LOCKSTEP_DATA_DIR');
}

export function adminHostsOption(): Option {
  return new Option(
    '--admin-hosts <names>',
    'names that the API, or an edge’s admin listener, may be called by, besides addresses and localhost; with commas between them',
  )
    .env('LOCKSTEP_ADMIN_HOSTS')
    .argParser(hostNames)
    .default([], 'none');
}

export function caddyApiOption(): Option {
  return new Option(
    '--caddy-api <address>',
    'where to speak Caddy’s admin API as well; beyond loopback each call needs a token',
  )
    .env('LOCKSTEP_CADDY_API')
    .argParser(address);
}

export function logLevelOption(): Option {
  return new Option('--log-level <level>', 'the least that is logged')
    .env('LOCKSTEP_LOG_LEVEL')
    .choices(logLevels)
    .default('info');
}

/** What a command reads from the environment alone: secrets are no flags, since every user of a machine can list those. */
export function environmentHelp(variables: Record<string, string>): string {
  const width = Math.max(...Object.keys(variables).map((name) => name.length));
  const lines = Object.entries(variables).map(([name, meaning]) => `  ${name.padEnd(width)}  ${meaning}`);
  return `\nEnvironment:\n${lines.join('\n')}\n`;
}

export const acmeVariables = {
  LOCKSTEP_ACME_DIRECTORY: 'address of an ACME directory; without it, the internal CA issues',
  LOCKSTEP_ACME_EMAIL: 'contact of the ACME account',
  LOCKSTEP_ACME_CA_FILE: 'PEM file with the root of a private ACME directory',
};
