import { Command } from 'commander';
import type {
  AddRouteFlags,
  EditRouteFlags,
  InstructionsFlags,
  ListRoutesFlags,
} from '../calls/route-calls.ts';
import { apiCommand, inSession } from './api-command.ts';
import { collect, keyValue, seconds } from './option-values.ts';

const calls = () => import('../calls/route-calls.ts');

export function routeCommand(): Command {
  return new Command('route')
    .description('custom domains, and where they lead')
    .addCommand(
      withBody(apiCommand('add', 'make a route; with --wait, until every edge serves it'))
        .argument('[host...]', 'its hosts; none with --file')
        .option('--id <id>', 'of your own')
        .option('--file <file>', 'the route in YAML or JSON; - for standard input')
        .action(
          inSession(async (session, hosts: string[], flags: AddRouteFlags) =>
            (await calls()).addRoute(session, hosts, flags),
          ),
        ),
    )
    .addCommand(
      apiCommand('ls', 'list routes')
        .option('--host <host>', 'those that serve it')
        .option('--state <state>', 'those in this state, such as failed')
        .option('--tenant <name>', 'those of this tenant')
        .option('--q <text>', 'those with this in one of their hosts')
        .action(
          inSession(async (session, flags: ListRoutesFlags) => (await calls()).listRoutes(session, flags)),
        ),
    )
    .addCommand(
      apiCommand('show', 'show a route, and how it stands')
        .argument('<route>', 'its id, or one of its hosts')
        .action(inSession(async (session, route: string) => (await calls()).showRoute(session, route))),
    )
    .addCommand(
      withBody(apiCommand('edit', 'change a route: by flags, or in your editor'))
        .argument('<route>', 'its id, or one of its hosts')
        .option('--host <host>', 'its hosts, in place of those it has; more than once for more', collect)
        .option('--patch <json>', 'what is merged into it (RFC 7396)')
        .action(
          inSession(async (session, route: string, flags: EditRouteFlags) =>
            (await calls()).editRoute(session, route, flags),
          ),
        ),
    )
    .addCommand(
      apiCommand('rm', 'delete routes')
        .argument('<route...>', 'their ids, or one host of each')
        .option('-y, --yes', 'do not ask')
        .action(
          inSession(async (session, routes: string[], flags: { yes?: boolean }) =>
            (await calls()).removeRoutes(session, routes, flags),
          ),
        ),
    )
    .addCommand(
      apiCommand('check', 'look whether its hosts lead here, and have them tried now')
        .argument('<route>', 'its id, or one of its hosts')
        .action(inSession(async (session, route: string) => (await calls()).checkRoute(session, route))),
    )
    .addCommand(
      apiCommand('instructions', 'print what the owner of its hosts has to do in the DNS')
        .argument('<route>', 'its id, or one of its hosts')
        .option('--host <host>', 'for this one of its hosts')
        .option('--html', 'as a page of its own')
        .action(
          inSession(async (session, route: string, flags: InstructionsFlags) =>
            (await calls()).printInstructions(session, route, flags),
          ),
        ),
    );
}

function withBody(command: Command): Command {
  return command
    .option('--to <url>', 'an upstream; more than once for more', collect)
    .option('--redirect <url>', 'where it sends clients, in place of upstreams')
    .option('--path <prefix>', 'a path prefix; more than once for more', collect)
    .option('--tenant <name>', 'whose it is')
    .option('--metadata <key=value>', 'kept with it; more than once for more', keyValue)
    .option('--wait [seconds]', 'until it is live, or so long (60)', seconds);
}
