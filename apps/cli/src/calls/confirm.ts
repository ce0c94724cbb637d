import { AppError } from '@lockstep/contract';

/** Asks before what cannot be taken back; where nobody can answer, `--yes` has to. */
export async function confirmed(question: string, { yes = false }: { yes?: boolean }): Promise<boolean> {
  if (yes) return true;
  if (!process.stdin.isTTY) throw new AppError('bad_configuration', `${question} Say so with --yes`);
  const { default: confirm } = await import('@inquirer/confirm');
  return confirm({ message: question, default: false });
}
