import { Command } from 'commander';
import { dataDirOption, environmentHelp, tokenVariable, urlOption } from './shared-options.ts';

export function importCommand(): Command {
  return new Command('import')
    .description('take over what another proxy serves: a plan, and with --apply the deed')
    .addCommand(caddyCommand())
    .addCommand(certificatesCommand());
}

interface ApiFlags {
  url: string;
  dataDir?: string;
  apply?: boolean;
  json?: boolean;
}

function caddyCommand(): Command {
  return shared(new Command('caddy'))
    .description('routes, issuers and certificates of a Caddy')
    .argument('<source>', 'JSON, a Caddyfile, or the address of its admin API, as http://localhost:2019')
    .option('--storage <folder>', 'of its certificates; left out: what the configuration names')
    .option('--caddy <command>', 'that adapts a Caddyfile', 'caddy')
    .action(async (source: string, flags: ApiFlags & { storage?: string; caddy: string }) => {
      const { importCaddy } = await import('../import/import-caddy.ts');
      process.exitCode = await importCaddy({
        source,
        storage: flags.storage ?? null,
        caddy: flags.caddy,
        ...targetOf(flags),
      });
    });
}

function certificatesCommand(): Command {
  return shared(new Command('certificates'))
    .description('certificates and their keys, from certbot, Traefik, Caddy, or PEM files')
    .argument('<source>', 'a folder such as /etc/letsencrypt, or a file such as acme.json')
    .option(
      '--issuer <name>',
      'that renews them from now on; left out: the one with the directory that they are from, else nobody does',
    )
    .action(async (source: string, flags: ApiFlags & { issuer?: string }) => {
      const { importCertificates } = await import('../import/import-certificates.ts');
      process.exitCode = await importCertificates({
        source,
        issuer: flags.issuer ?? null,
        ...targetOf(flags),
      });
    });
}

function shared(command: Command): Command {
  return command
    .addOption(urlOption())
    .addOption(dataDirOption('.lockstep'))
    .option('--apply', 'do it; left out: say what would be done')
    .option('--json', 'print the plan as JSON, without secrets')
    .addHelpText('after', environmentHelp(tokenVariable));
}

function targetOf({ url, dataDir = '.lockstep', apply = false, json = false }: ApiFlags) {
  return { url, dataDir, apply, json, print: (line: string) => void process.stdout.write(`${line}\n`) };
}
