import { Command, Option } from 'commander';
import type { Session, SessionFlags } from '../session/open-session.ts';
import { httpUrl } from './option-values.ts';
import { environmentHelp } from './shared-options.ts';

/** A command that asks the API: where it is, and who asks, comes from flags, the environment or a context. */
export function apiCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(
      new Option('--api <url>', 'of any control plane (LOCKSTEP_API; else that of the context)').argParser(
        httpUrl,
      ),
    )
    .option('--context <name>', 'in place of the current one (LOCKSTEP_CONTEXT); see `lockstep context`')
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      environmentHelp({ LOCKSTEP_TOKEN: 'of the API; else LOCKSTEP_ADMIN_TOKEN, else that of the context' }),
    );
}

/** An action that gets a session, then the arguments, then the flags. */
export function inSession<Args extends unknown[]>(
  run: (session: Session, ...args: Args) => Promise<void>,
  options: { retries?: number } = {},
): (...args: unknown[]) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1) as Command;
    const { openSession } = await import('../session/open-session.ts');
    const session = openSession({ ...command.optsWithGlobals<SessionFlags>(), ...options });
    try {
      await run(session, ...(args.slice(0, -1) as Args));
    } catch (error) {
      // A variable that was set for something else is the usual reason.
      const { status } = error as { status?: unknown };
      if (error instanceof Error && (status === 401 || status === 403))
        error.message += ` (it is asked with the token of ${session.tokenFrom})`;
      throw error;
    }
  };
}
