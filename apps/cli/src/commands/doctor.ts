import type { Command } from 'commander';
import { apiCommand, inSession } from './api-command.ts';

export function doctorCommand(): Command {
  return apiCommand(
    'doctor',
    'find out what is wrong with a host, or with the fleet, and what to do (exit code 5)',
  )
    .argument('[host]', 'a host of a route, or its id; none: the fleet')
    .action(
      inSession(async (session, host?: string) =>
        (await import('../doctor/doctor.ts')).runDoctor(session, host),
      ),
    );
}
