import { Command, Option } from 'commander';
import type { AddTokenFlags } from '../calls/token-calls.ts';
import { apiCommand, inSession } from './api-command.ts';
import { collect } from './option-values.ts';

const calls = () => import('../calls/token-calls.ts');

export function tokenCommand(): Command {
  return new Command('token')
    .description('who may call the API, and what')
    .addCommand(
      apiCommand('add', 'make a token; it is printed this once')
        .argument('<name>', 'what people know it by')
        .requiredOption('--scope <scope>', 'such as routes:write; more than once for more', collect)
        .option('--tenant <name>', 'it sees and makes what is this tenant’s alone')
        .option(
          '--host-suffix <name>',
          'its hosts are this and those below; more than once for more',
          collect,
        )
        .addOption(
          new Option('--ownership <proof>', 'what proves its hosts, whatever the settings say').choices([
            'off',
            'txt',
            'http',
          ]),
        )
        .option(
          '--expires <date>',
          'from then on it is refused: 2027-01-31, or with a time as RFC 3339 has it',
        )
        .action(
          inSession(async (session, name: string, flags: AddTokenFlags) =>
            (await calls()).addToken(session, name, flags),
          ),
        ),
    )
    .addCommand(
      apiCommand('ls', 'list tokens, without themselves').action(
        inSession(async (session) => (await calls()).listTokens(session)),
      ),
    )
    .addCommand(
      apiCommand('rm', 'revoke a token')
        .argument('<token>', 'its id, or its name')
        .option('-y, --yes', 'do not ask')
        .action(
          inSession(async (session, id: string, flags: { yes?: boolean }) =>
            (await calls()).revokeToken(session, id, flags),
          ),
        ),
    );
}
