import { Command } from 'commander';
import type { AddWebhookFlags } from '../calls/webhook-calls.ts';
import { apiCommand, inSession } from './api-command.ts';
import { collect } from './option-values.ts';

const calls = () => import('../calls/webhook-calls.ts');

export function webhookCommand(): Command {
  return new Command('webhook')
    .description('where events are sent')
    .addCommand(
      apiCommand('add', 'send events to an address; the secret that signs them is printed this once')
        .argument('<url>')
        .option(
          '--type <type>',
          'only of this type, or route.* for a family; more than once for more',
          collect,
        )
        .option('--route <id>', 'only what concerns this route; more than once for more', collect)
        .option('--tenant <name>', 'only what is this tenant’s')
        .action(
          inSession(async (session, url: string, flags: AddWebhookFlags) =>
            (await calls()).addWebhook(session, url, flags),
          ),
        ),
    )
    .addCommand(
      apiCommand('ls', 'list them').action(
        inSession(async (session) => (await calls()).listWebhooks(session)),
      ),
    )
    .addCommand(
      apiCommand('show', 'show one, and its last deliveries')
        .argument('<webhook>', 'its id')
        .action(inSession(async (session, id: string) => (await calls()).showWebhook(session, id))),
    )
    .addCommand(
      apiCommand('test', 'send a message now')
        .argument('<webhook>', 'its id')
        .action(inSession(async (session, id: string) => (await calls()).testWebhook(session, id))),
    )
    .addCommand(
      apiCommand('rotate-secret', 'sign with a new secret, and for a while with the old one too')
        .argument('<webhook>', 'its id')
        .action(inSession(async (session, id: string) => (await calls()).rotateSecret(session, id))),
    )
    .addCommand(
      apiCommand('rm', 'send no more')
        .argument('<webhook>', 'its id')
        .option('-y, --yes', 'do not ask')
        .action(
          inSession(async (session, id: string, flags: { yes?: boolean }) =>
            (await calls()).removeWebhook(session, id, flags),
          ),
        ),
    );
}
