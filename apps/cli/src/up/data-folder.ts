import { accessSync, constants, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@lockstep/contract';

export interface DataFolder {
  path: string;
  /** The place of a file in the folder. */
  file(name: string): string;
  /** The text of a secret file, which is made (0600) when it is missing. */
  secret(name: string, make: () => string): string;
}

/** Makes the folder (0700) when it is missing. Throws `bad_configuration` when it cannot be written. */
export function openDataFolder(path: string): DataFolder {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw unusable(path, cause);
  }
  const file = (name: string) => join(path, name);
  return {
    path,
    file,
    secret(name, make) {
      try {
        return readFileSync(file(name), 'utf8').trim();
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw unusable(file(name), cause);
      }
      const secret = make();
      try {
        writeFileSync(file(name), `${secret}\n`, { mode: 0o600, flag: 'wx' });
      } catch (cause) {
        throw unusable(file(name), cause);
      }
      return secret;
    },
  };
}

function unusable(path: string, cause: unknown): AppError {
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
  return new AppError(
    'bad_configuration',
    `the data folder cannot be used: ${path} (${code}); choose another with --data-dir`,
    { cause },
  );
}
