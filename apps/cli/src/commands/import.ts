import { Command, Option } from 'commander';
import { apiCommand, inSession } from './api-command.ts';
import { httpUrl } from './option-values.ts';

export function importCommand(): Command {
  return new Command('import')
    .description('take over what another proxy serves: a plan, and with --apply the deed')
    .addCommand(caddyCommand())
    .addCommand(certificatesCommand());
}

interface ImportFlags {
  apply?: boolean;
}

interface CaddyFlags extends ImportFlags {
  storage?: string;
  caddy: string;
  caddyApi?: string;
}

function caddyCommand(): Command {
  return shared(apiCommand('caddy', 'routes, issuers and certificates of a Caddy'))
    .argument('<source>', 'JSON, a Caddyfile, or the address of its admin API, as http://localhost:2019')
    .option('--storage <folder>', 'of its certificates; left out: what the configuration names')
    .option('--caddy <command>', 'that adapts a Caddyfile', 'caddy')
    .addOption(
      new Option(
        '--caddy-api <url>',
        'where the control plane speaks Caddy’s admin API: each route is given back there as it stood',
      ).argParser(httpUrl),
    )
    .action(
      inSession(async (session, source: string, flags: CaddyFlags) => {
        const { storage = null, caddy, apply = false, caddyApi = null } = flags;
        const { importCaddy } = await import('../import/import-caddy.ts');
        process.exitCode = await importCaddy({ source, storage, caddy, caddyApi, apply, ...session });
      }, patient),
    );
}

function certificatesCommand(): Command {
  return shared(
    apiCommand('certificates', 'certificates and their keys, from certbot, Traefik, Caddy, or PEM files'),
  )
    .argument('<source>', 'a folder such as /etc/letsencrypt, or a file such as acme.json')
    .option(
      '--issuer <name>',
      'that renews them from now on; left out: the one with the directory that they are from, else nobody does',
    )
    .action(
      inSession(async (session, source: string, flags: ImportFlags & { issuer?: string }) => {
        const { issuer = null, apply = false } = flags;
        const { importCertificates } = await import('../import/import-certificates.ts');
        process.exitCode = await importCertificates({ source, issuer, apply, ...session });
      }, patient),
    );
}

/** Thousands of writes go on where the control plane is overloaded for a while. */
const patient = { retries: 20 };

function shared(command: Command): Command {
  return command.option('--apply', 'do it; left out: say what would be done');
}
