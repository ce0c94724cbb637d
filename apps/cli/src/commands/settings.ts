import { Command } from 'commander';
import { apiCommand, inSession } from './api-command.ts';

const calls = () => import('../calls/settings-calls.ts');

export function settingsCommand(): Command {
  return new Command('settings')
    .description('what holds for the whole fleet')
    .addCommand(
      apiCommand('get', 'show the settings, or one of them')
        .argument('[setting]', 'such as edge.timeouts')
        .action(inSession(async (session, name?: string) => (await calls()).getSettings(session, name))),
    )
    .addCommand(
      apiCommand('set', 'change settings; the others stay')
        .argument('[setting=value...]', 'values in JSON; words stand for themselves, null is the default')
        .option('--file <file>', 'in YAML or JSON; - for standard input')
        .action(
          inSession(async (session, changes: string[], { file }: { file?: string }) =>
            (await calls()).setSettings(session, changes, file),
          ),
        ),
    );
}
