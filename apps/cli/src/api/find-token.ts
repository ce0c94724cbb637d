import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { AppError } from '@lockstep/contract';
import { readSecrets } from '../config.ts';

/** The token that commands call the API with. Throws `bad_configuration` where there is none. */
export function findToken(dataDir: string): string {
  const { token, adminToken } = readSecrets();
  if (token !== null) return token;
  if (adminToken !== null) return adminToken;
  const file = join(resolve(dataDir), 'admin-token');
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new AppError(
      'bad_configuration',
      `there is no token: set LOCKSTEP_TOKEN, or name the data folder of \`lockstep up\` with --data-dir (${file} is not there)`,
      { cause },
    );
  }
}
