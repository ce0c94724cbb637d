import { Command } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { backupCommand, restoreCommand } from './commands/backup.ts';
import { controlPlaneCommand } from './commands/control-plane.ts';
import { edgeCommand } from './commands/edge.ts';
import { importCommand } from './commands/import.ts';
import { keygenCommand } from './commands/keygen.ts';
import { keysCommand } from './commands/keys.ts';
import { upCommand } from './commands/up.ts';
import type { OpenLog } from './up/run-up.ts';

/** The `lockstep` command. Each mistake on the command line gets one line, and exit code 1. */
export function createProgram({ openLog }: { openLog: OpenLog }): Command {
  const { version } = packageJson;
  const program = new Command('lockstep').description('One POST, every edge serves it.');
  const commands = [
    upCommand({ openLog, version }),
    controlPlaneCommand(),
    edgeCommand(),
    keygenCommand(),
    keysCommand(),
    backupCommand(),
    restoreCommand(),
    importCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  for (const command of [program, ...commands, ...commands.flatMap((one) => one.commands)]) {
    command
      .version(version)
      .allowExcessArguments(false)
      .configureOutput({
        outputError: (text, write) => {
          const line = text
            .replace(/^error: /, '')
            .trim()
            .replace(/\s+/g, ' ');
          write(`lockstep: ${line} (see ${commandPath(command)} --help)\n`);
        },
      });
  }
  return program;
}

function commandPath(command: Command): string {
  return command.parent === null ? command.name() : `${commandPath(command.parent)} ${command.name()}`;
}
