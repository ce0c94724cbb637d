import { generateSecretKey } from '@lockstep/pki';
import { Command } from 'commander';

export function keygenCommand(): Command {
  return new Command('keygen')
    .description('make a secret key for LOCKSTEP_SECRET_KEY, which seals private keys')
    .action(() => {
      process.stdout.write(`${generateSecretKey()}\n`);
    });
}
