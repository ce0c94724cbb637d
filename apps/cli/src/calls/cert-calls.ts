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

export interface LabelFlags {
  tenant?: string;
  metadata?: Record<string, string>;
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

export async function labelCertificate(session: Session, id: string, flags: LabelFlags): Promise<void> {
  const { tenant, metadata } = flags;
  const orNull = (text: string) => (text === '' ? null : text);
  const entries = Object.entries(metadata ?? {}).map(([key, value]) => [key, orNull(value)]);
  const body = {
    ...(tenant !== undefined && { tenant: orNull(tenant) }),
    ...(metadata !== undefined && { metadata: Object.fromEntries(entries) }),
  };
  if (Object.keys(body).length === 0)
    throw new AppError('bad_configuration', 'nothing is to be changed; give --tenant or --metadata');
  say(session, await session.client.certificates.patch(id, body), 'is changed');
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
