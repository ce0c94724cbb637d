import { Command } from 'commander';
import { apiCommand, inSession } from './api-command.ts';

const calls = () => import('../calls/node-calls.ts');

export function nodeCommand(): Command {
  return new Command('node')
    .description('the edges')
    .addCommand(
      apiCommand('ls', 'list edges').action(inSession(async (session) => (await calls()).listNodes(session))),
    )
    .addCommand(
      apiCommand('show', 'show an edge')
        .argument('<node>')
        .action(inSession(async (session, node: string) => (await calls()).showNode(session, node))),
    )
    .addCommand(
      apiCommand('drain', 'take it out of traffic; nothing under way is broken off')
        .argument('<node>')
        .action(inSession(async (session, node: string) => (await calls()).drainNode(session, node))),
    )
    .addCommand(
      apiCommand('undrain', 'put it back')
        .argument('<node>')
        .action(inSession(async (session, node: string) => (await calls()).undrainNode(session, node))),
    )
    .addCommand(
      apiCommand('rm', 'expect a lost edge no more')
        .argument('<node>')
        .option('-y, --yes', 'do not ask')
        .action(
          inSession(async (session, node: string, flags: { yes?: boolean }) =>
            (await calls()).removeNode(session, node, flags),
          ),
        ),
    );
}
