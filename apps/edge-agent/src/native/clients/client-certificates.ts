import { X509Certificate } from 'node:crypto';
import { AppError, type RouteRecord } from '@lockstep/contract';

/** What a client showed, and what its handshake found of it. */
export interface ShownByClient {
  readonly leaf: X509Certificate;
  /** The handshake found a way from it to `ca`. */
  readonly provenBy: string | null;
}

/** What `clientCertificates` of a route asks of its clients. */
export interface ClientCertificates {
  readonly ca: string;
  readonly required: boolean;
  /** Whether it trusts what a client shows. */
  trusts(shown: ShownByClient): boolean;
}

const clientUse = ['1.3.6.1.5.5.7.3.2', '2.5.29.37.0'];

/** Throws `bad_certificate` for authorities that cannot be read. */
export function compileClientCertificates({ clientCertificates }: RouteRecord): ClientCertificates | null {
  if (clientCertificates === undefined) return null;
  const { ca, mode } = clientCertificates;
  const blocks = ca.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  let authorities: X509Certificate[];
  try {
    authorities = blocks.map((pem) => new X509Certificate(pem));
  } catch (cause) {
    throw new AppError('bad_certificate', 'the authorities of clientCertificates cannot be read', { cause });
  }
  if (authorities.length === 0)
    throw new AppError('bad_certificate', 'clientCertificates names no authority');
  const issued = new WeakMap<ShownByClient, boolean>();
  return {
    ca,
    required: mode !== 'request',
    trusts(shown) {
      const { leaf, provenBy } = shown;
      let trusted = provenBy === ca || issued.get(shown);
      if (trusted === undefined) {
        trusted = authorities.some(hasIssued(leaf));
        issued.set(shown, trusted);
      }
      return trusted && isCurrent(leaf);
    },
  };
}

/**
 * A session that is resumed brings the leaf alone, and was perhaps begun at another host: what its handshake found may have been found by
 * other authorities.
 */
function hasIssued(leaf: X509Certificate): (authority: X509Certificate) => boolean {
  return (authority) =>
    authority.ca &&
    isCurrent(authority) &&
    leaf.checkIssued(authority) &&
    leaf.verify(authority.publicKey) &&
    // Without this extension it is for any use (RFC 5280, section 4.2.1.12).
    ((leaf.keyUsage as string[] | undefined)?.some((use) => clientUse.includes(use)) ?? true);
}

function isCurrent({ validFromDate, validToDate }: X509Certificate): boolean {
  const now = Date.now();
  return validFromDate.getTime() <= now && now < validToDate.getTime();
}
