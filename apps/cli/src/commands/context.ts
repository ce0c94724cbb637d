import { Command } from 'commander';
import type { SetContextFlags } from '../calls/context-calls.ts';
import { httpUrl } from './option-values.ts';

const calls = () => import('../calls/context-calls.ts');

export function contextCommand(): Command {
  return new Command('context')
    .description('which fleet the commands speak to; `lockstep up` makes one')
    .addCommand(
      new Command('ls')
        .description('list contexts')
        .option('--json', 'answer in JSON')
        .action(async (flags: { json?: boolean }) => (await calls()).listContexts(flags)),
    )
    .addCommand(
      new Command('use')
        .description('make one the current one')
        .argument('<context>')
        .action(async (name: string) => (await calls()).useContext(name)),
    )
    .addCommand(
      new Command('set')
        .description(
          'make or change one; the token is read from LOCKSTEP_TOKEN, unless --token-file names its file',
        )
        .argument('<context>')
        .requiredOption('--api <url>', 'of any control plane', httpUrl)
        .option('--token-file <file>', 'which has the token, and is read when it is needed')
        .action(async (name: string, flags: SetContextFlags) => (await calls()).setContext(name, flags)),
    )
    .addCommand(
      new Command('rm')
        .description('forget one')
        .argument('<context>')
        .action(async (name: string) => (await calls()).removeContext(name)),
    );
}
