import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { addressOfHost, namesHost, wildcardOf } from '@lockstep/contract';
import type { ShownByClient } from '../clients/client-certificates.ts';
import type { CertificateTable } from './certificate-table.ts';
import { hostOf } from './server-name.ts';

/** At its connection. */
const shown = Symbol('shown certificate');
const asked = Symbol('asked of the client');
const cameTo = Symbol('address that was come to');
const mostHosts = 100;

/** The certificate that a connection's client was shown. */
export interface ShownCertificate {
  /** The server name that it was shown for, which it covers; null: it asked for none, or OpenSSL does not tell. */
  readonly name: string | null;
  /** Whether it is a certificate for this host too (RFC 9110, section 7.4): a client may not be told otherwise. */
  covers(host: string): boolean;
  /** What the client showed in turn; null for nothing. */
  client(): ShownByClient | null;
}

export interface ShownCertificates {
  /** To be called when the handshake is through. */
  note(socket: TLSSocket): void;
}

export interface ShownCertificatesOptions {
  certificates: Pick<CertificateTable, 'leafFor' | 'leafOf'>;
  /** The id of what whoever names no host is shown; null for nothing. */
  unnamed(): string | null;
}

export function createShownCertificates(options: ShownCertificatesOptions): ShownCertificates {
  const { certificates, unnamed } = options;

  function leafOf(name: string | null) {
    if (name !== null) return certificates.leafFor(name);
    const id = unnamed();
    return id === null ? null : certificates.leafOf(id);
  }

  return {
    note(socket) {
      const { servername } = socket as TLSSocket & { servername?: string | false | null };
      const name = servername ? hostOf(servername) : null;
      // A session of TLS 1.2 that was resumed comes without its name: what it was shown is not known.
      const unknown = name === null && socket.isSessionReused();
      let client: { shown: ShownByClient | null } | null = null;
      let leaf: X509Certificate | null | undefined;
      let names: Set<string> | null = null;
      const at = (socket as TLSSocket & { [cameTo]?: string })[cameTo];
      const others = new Map<string, boolean>();
      const certificate: ShownCertificate = {
        name,
        covers(host) {
          if (unknown) return true;
          let covered = others.get(host);
          if (covered === undefined) {
            if (leaf === undefined) leaf = leafOf(name ?? at ?? null);
            names ??= namesOf(leaf);
            covered =
              addressOfHost(host) === null
                ? names.has(host) || names.has(wildcardOf(host) ?? host)
                : leaf !== null && namesHost(leaf, host);
            if (others.size < mostHosts) others.set(host, covered);
          }
          return covered;
        },
        client() {
          client ??= { shown: shownBy(socket) };
          return client.shown;
        },
      };
      Object.assign(socket, { [shown]: certificate });
    },
  };
}

/** The handshake of a connection asks its client for a certificate of these authorities. */
export function noteAsked(socket: object, ca: string): void {
  Object.assign(socket, { [asked]: ca });
}

/** A connection that named no host is shown the certificate of this address. */
export function noteAddress(socket: object, host: string): void {
  Object.assign(socket, { [cameTo]: host });
}

function shownBy(socket: TLSSocket & { [asked]?: string }): ShownByClient | null {
  const leaf = socket.getPeerX509Certificate();
  if (leaf === undefined) return null;
  const { _handle } = socket as unknown as { _handle: { verifyError(): Error | null } | null };
  const isProven = !socket.isSessionReused() && _handle !== null && _handle.verifyError() === null;
  return { leaf, provenBy: isProven ? (socket[asked] ?? null) : null };
}

/** As they are written there: OpenSSL's own comparison does not take a name with an underscore for one of a wildcard's. */
function namesOf(leaf: X509Certificate | null): Set<string> {
  return new Set(leaf?.subjectAltName?.toLowerCase().match(/(?<=(?:^|, )dns:)[^,]+/g));
}

export function shownTo(connection: object | undefined | null): ShownCertificate | null {
  return (connection as { [shown]?: ShownCertificate } | undefined | null)?.[shown] ?? null;
}
