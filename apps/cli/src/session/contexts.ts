import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@lockstep/contract';

/** Where a fleet's API is, and who one is there. */
export interface Context {
  api: string;
  /** The file that has the token, which is read when it is needed; or the token itself. */
  tokenFile?: string;
  token?: string;
}

export interface Contexts {
  current: string | null;
  contexts: Record<string, Context>;
}

/** What `lockstep context` keeps, in `contexts.json` (0600) of the configuration folder. Throws `bad_configuration` for a file that is none of it. */
export function readContexts(folder: string): Contexts {
  const file = contextsFile(folder);
  try {
    const found = JSON.parse(readFileSync(file, 'utf8')) as Partial<Contexts>;
    if (typeof found.contexts === 'object' && found.contexts !== null)
      return { current: found.current ?? null, contexts: found.contexts };
    throw new Error('it has no contexts');
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(String((cause as NodeJS.ErrnoException).code)))
      return { current: null, contexts: {} };
    const detail = `${file} cannot be read (${(cause as Error).message}); mend or remove it`;
    throw new AppError('bad_configuration', detail, { cause });
  }
}

export function writeContexts(folder: string, contexts: Contexts): void {
  const file = contextsFile(folder);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const next = `${file}.${process.pid}`;
    writeFileSync(next, `${JSON.stringify(contexts, null, 2)}\n`, { mode: 0o600 });
    renameSync(next, file);
  } catch (cause) {
    throw new AppError('bad_configuration', `${file} cannot be written: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function contextsFile(folder: string): string {
  return join(folder, 'contexts.json');
}
