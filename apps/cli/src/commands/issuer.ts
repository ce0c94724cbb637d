import { Command } from 'commander';
import { apiCommand, inSession } from './api-command.ts';

const calls = () => import('../calls/issuer-calls.ts');

export function issuerCommand(): Command {
  return new Command('issuer')
    .description('the CAs, with an account each')
    .addCommand(
      apiCommand('ls', 'list issuers').action(
        inSession(async (session) => (await calls()).listIssuers(session)),
      ),
    )
    .addCommand(
      apiCommand('show', 'show an issuer')
        .argument('<issuer>')
        .action(inSession(async (session, name: string) => (await calls()).showIssuer(session, name))),
    )
    .addCommand(
      apiCommand('set', 'set up an issuer')
        .argument('<issuer>', 'a name of yours, such as letsencrypt')
        .requiredOption('--file <file>', 'in YAML or JSON, as PUT /v1/issuers takes it; - for standard input')
        .action(
          inSession(async (session, name: string, { file }: { file: string }) =>
            (await calls()).setIssuer(session, name, file),
          ),
        ),
    )
    .addCommand(
      apiCommand('rm', 'remove an issuer')
        .argument('<issuer>')
        .option('-y, --yes', 'do not ask')
        .action(
          inSession(async (session, name: string, flags: { yes?: boolean }) =>
            (await calls()).removeIssuer(session, name, flags),
          ),
        ),
    )
    .addCommand(
      apiCommand('limits', 'what is left of its limits')
        .argument('<issuer>')
        .action(inSession(async (session, name: string) => (await calls()).showLimits(session, name))),
    )
    .addCommand(
      apiCommand('retry', 'have what waits for it tried now')
        .argument('<issuer>')
        .action(inSession(async (session, name: string) => (await calls()).retryIssuer(session, name))),
    );
}
