import type { Command } from 'commander';
import type { EventsFlags } from '../calls/event-calls.ts';
import { apiCommand, inSession } from './api-command.ts';
import { collect } from './option-values.ts';

export function eventsCommand(): Command {
  return apiCommand('events', 'what happened; with --follow, what happens from now on')
    .option('-f, --follow', 'go on, until Ctrl-C')
    .option('--type <type>', 'only of this type, or route.* for a family; more than once for more', collect)
    .option('--route <id>', 'only what concerns this route')
    .option('--host <host>', 'only what concerns this host')
    .option('--tenant <name>', 'only what is this tenant’s')
    .option(
      '--since <when>',
      'from then on: 1h, 30m, 2d ago, a date as RFC 3339 has it, the id of an event (what came after it), or beginning',
    )
    .action(
      inSession(async (session, flags: EventsFlags) =>
        (await import('../calls/event-calls.ts')).showEvents(session, flags),
      ),
    );
}
