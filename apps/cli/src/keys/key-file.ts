import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { AppError } from '@lockstep/contract';
import { createSealer, generateSecretKey } from '@lockstep/pki/sealer';

// The file in which `lockstep up` keeps its secret keys, one a line, the new one first.

/** Puts a new key before those that are there. Throws `bad_configuration`, and `wrong_state` while an older one is still needed. */
export function addKey(file: string): void {
  const keys = readKeys(file);
  if (keys.length > 1) {
    throw new AppError(
      'wrong_state',
      `${file} has a new key already; start \`lockstep up\`, which changes to it and removes the old one`,
    );
  }
  writeKeys(file, [generateSecretKey(), ...keys]);
}

/** Leaves the first key alone. */
export function dropOlderKeys(file: string): void {
  writeKeys(file, readKeys(file).slice(0, 1));
}

function readKeys(file: string): string[] {
  try {
    const text = readFileSync(file, 'utf8').trim();
    createSealer(text);
    return text.split(/\s*[,\n]\s*/);
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    const detail = `${file} cannot be read: there is no key that \`lockstep up\` made`;
    throw new AppError('bad_configuration', detail, { cause });
  }
}

/** A whole file or the one before: what these keys sealed opens with nothing else. */
function writeKeys(file: string, keys: readonly string[]): void {
  try {
    writeFileSync(`${file}.new`, `${keys.join('\n')}\n`, { mode: 0o600, flush: true });
    renameSync(`${file}.new`, file);
  } catch (cause) {
    throw new AppError('bad_configuration', `${file} cannot be written`, { cause });
  }
}
