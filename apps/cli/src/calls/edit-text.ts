import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '@lockstep/contract';
import { editorCommand } from '../config.ts';

/**
 * Has the user edit a text (throws `bad_configuration` where nobody can), and has `take` take it. Null: it was left as it was. What `take` throws names the file, which stays: nothing
 * that was typed is lost.
 */
export async function editText<T>(
  name: string,
  text: string,
  take: (edited: string) => Promise<T>,
): Promise<T | null> {
  const chosen = editorCommand();
  if (chosen === null && !process.stdin.isTTY)
    throw new AppError(
      'bad_configuration',
      'there is no terminal to edit it in; say what is to change by flags',
    );
  const editor = chosen ?? 'vi';
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-'));
  const file = join(folder, name);
  writeFileSync(file, text, { mode: 0o600 });
  const { status, error } = spawnSync('/bin/sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit' });
  if (error !== undefined || status !== 0)
    throw new AppError('bad_configuration', `the editor (${editor}) failed; set EDITOR to another one`);
  const edited = readFileSync(file, 'utf8');
  try {
    const taken = edited === text ? null : await take(edited);
    rmSync(folder, { recursive: true, force: true });
    return taken;
  } catch (error) {
    throw new Error(`${(error as Error).message}; what you wrote is in ${file}`, { cause: error });
  }
}
