import { Command } from 'commander';
import type { LabelFlags, RevokeFlags, UploadFlags } from '../calls/cert-calls.ts';
import { apiCommand, inSession } from './api-command.ts';
import { keyValue } from './option-values.ts';

const calls = () => import('../calls/cert-calls.ts');
const id = 'its id: for one that Lockstep obtained, the host';

export function certCommand(): Command {
  return new Command('cert')
    .description('certificates, obtained or brought')
    .addCommand(
      apiCommand('ls', 'list certificates')
        .option('--failing', 'those alone that cannot be obtained')
        .action(
          inSession(async (session, flags: { failing?: boolean }) =>
            (await calls()).listCertificates(session, flags),
          ),
        ),
    )
    .addCommand(
      apiCommand('show', 'show a certificate, and what was tried to obtain it')
        .argument('<certificate>', id)
        .action(inSession(async (session, name: string) => (await calls()).showCertificate(session, name))),
    )
    .addCommand(
      apiCommand('renew', 'obtain it anew now')
        .argument('<certificate>', id)
        .action(inSession(async (session, name: string) => (await calls()).renewCertificate(session, name))),
    )
    .addCommand(
      apiCommand('revoke', 'revoke it at its CA, and obtain another')
        .argument('<certificate>', id)
        .option('--reason <reason>', 'as RFC 5280 names it, such as keyCompromise')
        .option('-y, --yes', 'do not ask')
        .action(
          inSession(async (session, name: string, flags: RevokeFlags) =>
            (await calls()).revokeCertificate(session, name, flags),
          ),
        ),
    )
    .addCommand(
      apiCommand('set', 'say whose a brought one is, and what is kept with it')
        .argument('<certificate>', id)
        .option('--tenant <name>', 'whose it is; empty: nobody’s')
        .option(
          '--metadata <key=value>',
          'kept with it, an empty value goes; more than once for more',
          keyValue,
        )
        .action(
          inSession(async (session, name: string, flags: LabelFlags) =>
            (await calls()).labelCertificate(session, name, flags),
          ),
        ),
    )
    .addCommand(
      apiCommand('upload', 'bring a certificate of your own')
        .requiredOption('--chain <file>', 'PEM, the leaf first')
        .requiredOption('--key <file>', 'PEM, of the private key')
        .option('--issuer <issuer>', 'which it is from, where Lockstep is to renew it there')
        .option('--tenant <name>', 'whose it is')
        .action(
          inSession(async (session, flags: UploadFlags) => (await calls()).uploadCertificate(session, flags)),
        ),
    );
}
