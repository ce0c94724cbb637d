import type { EventType } from '../shared/event-types.ts';
import { isText } from '../shared/fields.ts';
import type { EventDraft } from './event.ts';
import { recordKind } from './kind-module.ts';
import { hostsFault } from './route.ts';

/** The issuer of brought certificates, which no issuer can be named. */
export const broughtIssuer = 'brought';

/**
 * The served material of one certificate, as the store keeps it and edges receive it. `sealedKey` is the PKCS#8
 * PEM key, sealed with `certificate/<id>` as its additional data.
 */
export interface CertificateRecord {
  /** The host of a managed certificate, which is its id too; the first name of a brought one. */
  host: string;
  /** Of a brought certificate: all it is served for, before any managed one. Managed: left out, it is for `host` alone. */
  names?: string[] | undefined;
  /** The issuer's name; `brought` for a certificate that an operator brought. */
  issuer: string;
  chain: string;
  sealedKey: string;
  serialNumber: string;
  fingerprint256: string;
  notBefore: string;
  notAfter: string;
  issuedAt: string;
  revokedAt?: string | null | undefined;
  /** Of a brought certificate, as is the next. */
  tenant?: string | undefined;
  metadata?: Record<string, string> | undefined;
}

export const certificate = recordKind<CertificateRecord>()({
  kind: 'certificate',
  audience: 'edge',
  version: 1,
  secret: { sealedKey: 'edge' },
  journal: () => true,
  tooLongForJournal: { chain: true },
  events(before, after, id) {
    // Whoever brought one knows of it.
    if (after === null || after.issuer === broughtIssuer) return [];
    const { host, issuer, serialNumber, fingerprint256, notBefore, notAfter } = after;
    const data = { hosts: [host], issuer, serialNumber, fingerprint256, notBefore, notAfter };
    const told = (type: EventType, more = {}): EventDraft => ({
      type,
      subject: { kind: 'certificate', id },
      data: { ...data, ...more },
    });
    if (before?.fingerprint256 !== fingerprint256)
      return [told(before === null ? 'certificate.issued' : 'certificate.renewed')];
    const { revokedAt = null } = after;
    return revokedAt !== null && before.revokedAt == null ? [told('certificate.revoked', { revokedAt })] : [];
  },
  fault: ({ host, names, chain, sealedKey }) =>
    (isForClients(names) ? null : hostsFault(names === undefined ? [host] : names)) ??
    (isText(chain) ? null : 'has no chain') ??
    (isText(sealedKey) ? null : 'has no key'),
});

/** A brought one that is served for no name: edges show it to upstreams. */
function isForClients(names: unknown): boolean {
  return Array.isArray(names) && names.length === 0;
}
