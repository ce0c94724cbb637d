import type { Command } from 'commander';
import type { ApplyFlags } from '../declared/apply.ts';
import { apiCommand, inSession } from './api-command.ts';

export function applyCommand(): Command {
  return apiCommand('apply', 'make routes, issuers and settings what files say they are')
    .requiredOption('-f, --file <file>', 'YAML or JSON, or a folder of such files; - for standard input')
    .option('--prune', 'delete the routes that no file has')
    .option('--tenant <name>', 'with --prune: those of this tenant alone')
    .option('--dry-run', 'say what would change, and leave it (exit code 6 where something would)')
    .option('-y, --yes', 'do not ask')
    .action(
      inSession(async (session, flags: ApplyFlags) =>
        (await import('../declared/apply.ts')).applyFiles(session, flags),
      ),
    );
}

export function exportCommand(): Command {
  return apiCommand('export', 'write routes, issuers and settings as `lockstep apply` reads them').action(
    inSession(async (session) => (await import('../declared/export.ts')).exportAll(session)),
  );
}
