import { join, resolve } from 'node:path';
import { AppError } from '@lockstep/contract';
import { Command, Option } from 'commander';
import { readSecrets } from '../config.ts';
import { httpUrl } from './option-values.ts';
import { environmentHelp } from './shared-options.ts';

export function keysCommand(): Command {
  return new Command('keys').description('the keys that secrets are sealed with').addCommand(rotateCommand());
}

function rotateCommand(): Command {
  return new Command('rotate')
    .description(
      'seal everything with the first key of LOCKSTEP_SECRET_KEY, which all have beside the old one',
    )
    .addOption(
      new Option('--api <url>', 'of any control plane')
        .env('LOCKSTEP_API')
        .argParser(httpUrl)
        .default('http://127.0.0.1:7400'),
    )
    .option(
      '--data-dir <folder>',
      'of `lockstep up`, in place of --api: makes the key that its next start changes to',
    )
    .addHelpText('after', environmentHelp({ LOCKSTEP_ADMIN_TOKEN: 'bearer token of the API' }))
    .action(async ({ api, dataDir }: { api: string; dataDir?: string }) => {
      const print = (line: string) => process.stdout.write(`${line}\n`);
      if (dataDir !== undefined) {
        const { addKey } = await import('../keys/key-file.ts');
        const file = join(resolve(dataDir), 'secret-key');
        addKey(file);
        print(`${file} has a new key; start \`lockstep up\` again, and it changes to that key`);
        return;
      }
      const [token] = readSecrets().adminToken?.split(',') ?? [];
      if (token === undefined) throw new AppError('bad_configuration', 'LOCKSTEP_ADMIN_TOKEN is not set');
      const { rotateKeys } = await import('../keys/rotate-keys.ts');
      await rotateKeys({ apiUrl: api.replace(/\/+$/, ''), token, print });
    });
}
