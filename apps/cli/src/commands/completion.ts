import { Argument, Command } from 'commander';

/** `completion`, which prints what a shell loads, and `complete`, which that asks. */
export function completionCommands(createProgram: () => Command): Command[] {
  const run = async () => {
    const { default: addCompletion } = await import('@bomb.sh/tab/commander');
    const program = createProgram();
    addCompletion(program, { completionCommandName: 'completion' });
    await program.parseAsync();
  };
  return [
    new Command('completion')
      .description('print what completes these commands in a shell: source <(lockstep completion bash)')
      .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish', 'powershell']))
      .action(run),
    new Command('complete')
      .description('answers the shell')
      .argument('[words...]')
      .allowUnknownOption()
      .action(run),
  ];
}
