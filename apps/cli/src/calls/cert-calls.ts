import { readFileSync } from 'node:fs';
import type { Certificate, components } from '@lockstep/client';
import { AppError, hostOfAddress } from '@lockstep/contract';
import type { Session } from '../session/open-session.ts';
import { confirmed } from './confirm.ts';

export interface RevokeFlags {
  reason?: string;
  yes?: boolean;
}

export interface UploadFlags {
  chain: string;
  key: string;
  issuer?: string;
  tenant?: string;
}

type Revocation = components['schemas']['RevokeCertificate'];

export async function listCertificates({ client, output }: Session, { failing }: { failing?: boolean }) {
  const certificates: Certificate[] = [];
  for await (const one of client.certificates.list(failing ? { failing: 'true' } : {}))
    certificates.push(one);
  output.list(certificates, {
    id: ({ id }) => id,
    state: ({ state }) => state,
    issuer: ({ issuer, origin }) => issuer ?? (origin === 'brought' ? '(brought)' : ''),
    until: ({ notAfter }) => notAfter?.slice(0, 10) ?? '',
    error: ({ lastError }) => lastError?.detail ?? '',
  });
}

/** Of an address the id is its host: IPv6 in brackets, which shells have a use of their own for. */
const idOf = (text: string) => hostOfAddress(text) ?? text;

export async function showCertificate({ client, output }: Session, given: string): Promise<void> {
  const id = idOf(given);
  const certificate = await client.certificates.get(id);
  const attempts = certificate.origin === 'brought' ? [] : await client.certificates.attempts(id);
  output.show({ ...certificate, attempts });
}

export async function renewCertificate(session: Session, id: string): Promise<void> {
  say(session, await session.client.certificates.renew(idOf(id)), 'is being renewed');
}

export async function revokeCertificate(session: Session, id: string, flags: RevokeFlags): Promise<void> {
  if (!(await confirmed(`Revoke the certificate ${id}?`, flags))) return;
  const { reason } = flags;
  const body = reason === undefined ? {} : ({ reason } as Revocation);
  say(
    session,
    await session.client.certificates.revoke(idOf(id), body),
    'is revoked, and another is obtained',
  );
}

export async function uploadCertificate(session: Session, flags: UploadFlags): Promise<void> {
  const { issuer, tenant } = flags;
  const body = {
    chain: read(flags.chain),
    key: read(flags.key),
    ...(issuer !== undefined && { issuer }),
    ...(tenant !== undefined && { tenant }),
  };
  say(session, await session.client.certificates.bring(body), 'is brought');
}

function say({ output }: Session, certificate: Certificate, what: string): void {
  if (output.json) output.show(certificate);
  else output.line(`${certificate.id} ${what}`);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new AppError('bad_configuration', `${file} cannot be read (${code})`, { cause });
  }
}
