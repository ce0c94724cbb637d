import { Command, Option } from 'commander';
import type { AddWebhookFlags, DeliveriesFlags, SetWebhookFlags } from '../calls/webhook-calls.ts';
import { apiCommand, inSession } from './api-command.ts';
import { collect, wholeNumber } from './option-values.ts';

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
        .option('--tenant <name>', 'it is this tenant’s, and gets only what is the tenant’s')
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
      apiCommand('show', 'show one, and what waits')
        .argument('<webhook>', 'its id')
        .action(inSession(async (session, id: string) => (await calls()).showWebhook(session, id))),
    )
    .addCommand(
      apiCommand('set', 'change one, disable it, or enable it again')
        .argument('<webhook>', 'its id')
        .option('--on', 'enable it: it goes on where it was')
        .option('--off', 'disable it')
        .option('--url <url>', 'send to this address')
        .option('--type <type>', 'only events of this type; more than once for more', collect)
        .action(
          inSession(async (session, id: string, flags: SetWebhookFlags) =>
            (await calls()).setWebhook(session, id, flags),
          ),
        ),
    )
    .addCommand(
      apiCommand('deliveries', 'what became of what was sent, the latest first')
        .argument('<webhook>', 'its id')
        .addOption(
          new Option('--outcome <outcome>', 'only those').choices([
            'taken',
            'refused',
            'unanswered',
            'given_up',
          ]),
        )
        .option('--event <id>', 'only those of this event')
        .option('--limit <n>', 'so many at the most', wholeNumber(1, 1_000), 20)
        .action(
          inSession(async (session, id: string, flags: DeliveriesFlags) =>
            (await calls()).listDeliveries(session, id, flags),
          ),
        ),
    )
    .addCommand(
      apiCommand('redeliver', 'send an event again now, or all that were given up since')
        .argument('<webhook>', 'its id')
        .option('--event <id>', 'this event')
        .option(
          '--since <time>',
          'those that were given up from then on: 1h, 2d ago, or a date as RFC 3339 has it',
        )
        .action(
          inSession(async (session, id: string, flags: { event?: string; since?: string }) =>
            (await calls()).redeliver(session, id, flags),
          ),
        ),
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
