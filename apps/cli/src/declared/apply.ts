import type { RouteInput } from '@lockstep/client';
import { AppError } from '@lockstep/contract';
import { createTwoFilesPatch } from 'diff';
import { stringify } from 'yaml';
import { confirmed } from '../calls/confirm.ts';
import { exitCodes } from '../output/exit-codes.ts';
import type { Output } from '../output/output.ts';
import type { Session } from '../session/open-session.ts';
import { type DesiredState, readDesiredState } from './desired-state.ts';
import { foreseeRefusals } from './foresee-refusals.ts';
import { type Change, planChanges } from './plan.ts';

export interface ApplyFlags {
  file: string;
  prune?: boolean;
  tenant?: string;
  dryRun?: boolean;
  yes?: boolean;
}

export async function applyFiles(session: Session, flags: ApplyFlags): Promise<void> {
  const { client, output } = session;
  const desired = readDesiredState(flags.file);
  const changes = await planChanges(client, desired, { prune: flags.prune ?? false, tenant: flags.tenant });
  if (output.json) output.show(changes);
  else for (const change of changes) showChange(output, change);
  if (changes.length === 0) {
    if (!output.json) output.line('nothing is to be changed');
    return;
  }
  const refusals = await foreseeRefusals(client, changes);
  if (refusals.length > 0)
    throw new AppError(
      'wrong_state',
      `${refusals.map(({ route, detail }) => `route ${route}: ${detail}`).join('; ')}; nothing is made`,
    );
  if (flags.dryRun) {
    process.exitCode = exitCodes.changes;
    return;
  }
  const deleted = changes.filter(({ after }) => after === null).length;
  const question = `Make these ${changes.length} changes${deleted === 0 ? '' : `, of which ${deleted} delete routes`}?`;
  if (!(await confirmed(question, flags))) return;
  for (const change of changes) await make(session, desired, change);
  if (!output.json) output.line(`made ${changes.length} ${changes.length === 1 ? 'change' : 'changes'}`);
}

async function make(
  { client }: Session,
  desired: DesiredState,
  { kind, name, after }: Change,
): Promise<void> {
  try {
    if (kind === 'settings') await client.settings.patch(desired.settings);
    else if (kind === 'issuer') await client.issuers.put(name, desired.issuers.get(name)!);
    else if (after === null) await client.routes.delete(name);
    else await client.routes.put(name, after as unknown as RouteInput);
  } catch (cause) {
    throw new Error(
      `${kind} ${name}: ${(cause as Error).message}; what stood before it in the plan is made`,
      { cause },
    );
  }
}

function showChange(output: Output, { kind, name, before, after }: Change): void {
  const title = `${kind} ${name}`.trimEnd();
  const text = createTwoFilesPatch(title, title, sorted(before), sorted(after), undefined, undefined, {
    context: 3,
  });
  const [, , , , ...lines] = text.trimEnd().split('\n');
  const verb = before === null ? 'create' : after === null ? 'delete' : 'change';
  output.line(output.paint('bold', `${verb} ${title}`));
  for (const line of lines) {
    if (line.startsWith('@@') || line.startsWith('\\')) continue;
    const style = line.startsWith('+') ? 'green' : line.startsWith('-') ? 'red' : 'dim';
    output.line(`  ${output.paint(style, line)}`);
  }
}

function sorted(value: Record<string, unknown> | null): string {
  return value === null ? '' : stringify(value, { sortMapEntries: true });
}
