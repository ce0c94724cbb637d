import { Command } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { applyCommand, exportCommand } from './commands/apply.ts';
import { backupCommand, restoreCommand } from './commands/backup.ts';
import { certCommand } from './commands/cert.ts';
import { completionCommands } from './commands/completion.ts';
import { contextCommand } from './commands/context.ts';
import { controlPlaneCommand } from './commands/control-plane.ts';
import { doctorCommand } from './commands/doctor.ts';
import { edgeCommand } from './commands/edge.ts';
import { eventsCommand } from './commands/events.ts';
import { importCommand } from './commands/import.ts';
import { issuerCommand } from './commands/issuer.ts';
import { keygenCommand } from './commands/keygen.ts';
import { keysCommand } from './commands/keys.ts';
import { nodeCommand } from './commands/node.ts';
import { routeCommand } from './commands/route.ts';
import { settingsCommand } from './commands/settings.ts';
import { tokenCommand } from './commands/token.ts';
import { upCommand } from './commands/up.ts';
import { webhookCommand } from './commands/webhook.ts';
import type { OpenLog } from './up/run-up.ts';

export interface ProgramOptions {
  openLog: OpenLog;
  /** Whether it has the commands that complete others. */
  completes?: boolean;
}

/** The `lockstep` command. Each mistake on the command line gets one line, and exit code 1. */
export function createProgram({ openLog, completes = true }: ProgramOptions): Command {
  const { version } = packageJson;
  const program = new Command('lockstep').description('One POST, every edge serves it.').helpCommand(false);
  const run = [upCommand({ openLog, version }), controlPlaneCommand(), edgeCommand()];
  const ask = [
    routeCommand(),
    certCommand(),
    issuerCommand(),
    nodeCommand(),
    settingsCommand(),
    tokenCommand(),
    eventsCommand(),
    webhookCommand(),
    applyCommand(),
    exportCommand(),
    doctorCommand(),
    importCommand(),
    contextCommand(),
  ];
  const keep = [keygenCommand(), keysCommand(), backupCommand(), restoreCommand()];
  if (completes) keep.push(...completionCommands(() => createProgram({ openLog, completes: false })));
  const commands = [
    ...run.map((command) => command.helpGroup('Run:')),
    ...ask.map((command) => command.helpGroup('Ask the API:')),
    ...keep.map((command) => command.helpGroup('Keep:')),
  ];
  for (const command of [...commands, helpCommand(program)]) program.addCommand(command);
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
          const hint = /^unknown option '--(api|context|json)'/.test(line)
            ? '; it stands behind the command, as in `lockstep route ls --json`'
            : '';
          write(`lockstep: ${line}${hint} (see ${commandPath(command)} --help)\n`);
        },
      });
  }
  return program;
}

function commandPath(command: Command): string {
  return command.parent === null ? command.name() : `${commandPath(command.parent)} ${command.name()}`;
}

/** `help route add` is `route add --help`; commander's own looks at the first word alone. */
function helpCommand(program: Command): Command {
  return new Command('help')
    .description('display help for command')
    .argument('[command...]')
    .action((names: string[]) => {
      let found = program;
      for (const name of names) {
        const next = found.commands.find((one) => one.name() === name);
        if (next === undefined) return found.error(`error: unknown command '${name}'`);
        found = next;
      }
      found.outputHelp();
    });
}
