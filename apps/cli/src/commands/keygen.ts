import { Command } from 'commander';

export function keygenCommand(): Command {
  return new Command('keygen')
    .description('make a secret key for LOCKSTEP_SECRET_KEY, which seals private keys')
    .action(async () => {
      const { generateSecretKey } = await import('@lockstep/pki');
      process.stdout.write(`${generateSecretKey()}\n`);
    });
}
