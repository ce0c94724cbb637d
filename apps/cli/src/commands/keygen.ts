import { AppError } from '@lockstep/contract';
import { Command, Option } from 'commander';
import { readSecrets } from '../config.ts';
import { environmentHelp } from './shared-options.ts';

export function keygenCommand(): Command {
  return new Command('keygen')
    .description(
      'make a secret key, which control planes seal with, or print the edge key that follows from it',
    )
    .addOption(new Option('--edge', 'print the LOCKSTEP_EDGE_KEY that belongs to LOCKSTEP_SECRET_KEY'))
    .addHelpText('after', environmentHelp({ LOCKSTEP_SECRET_KEY: 'of the control planes, for --edge' }))
    .action(async ({ edge = false }: { edge?: boolean }) => {
      const { deriveEdgeKey, generateSecretKey } = await import('@lockstep/pki/sealer');
      process.stdout.write(`${edge ? deriveEdgeKey(needSecretKey()) : generateSecretKey()}\n`);
    });
}

function needSecretKey(): string {
  const { secretKey } = readSecrets();
  if (secretKey !== null) return secretKey;
  throw new AppError(
    'bad_configuration',
    'LOCKSTEP_SECRET_KEY is not set; `lockstep keygen --edge` derives the edge key from that of the control planes',
  );
}
