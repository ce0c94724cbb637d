import { constants } from 'node:crypto';
import type { Server } from 'node:tls';
import type { EdgeSettings } from '@lockstep/contract';
import type { CertificateTable } from './certificate-table.ts';
import type { TicketKeys } from './ticket-keys.ts';

const ciphers = {
  modern: ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'],
  /** Of TLS 1.2 what has forward secrecy and authenticates what it encrypts. */
  intermediate: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
  ],
};

/** How long a session resumes: any ticket's key is kept for longer. */
const sessionSeconds = 24 * 3_600;

export interface TlsContextOptions {
  settings(): EdgeSettings;
  certificates: Pick<CertificateTable, 'materialOf'>;
  /** The id of what whoever names no host is shown; null for nothing. */
  unnamed(): string | null;
  tickets: Pick<TicketKeys, 'serve'>;
}

/** What a server speaks to all clients, whichever certificate they are shown. */
export interface TlsContext {
  /** Puts it in force for handshakes that begin from here on, where it changed. */
  serve(server: object): void;
}

export function createTlsContext({
  settings,
  certificates,
  unnamed,
  tickets,
}: TlsContextOptions): TlsContext {
  let inForce: { tls: EdgeSettings['tls']; chain: string | null } | null = null;

  return {
    serve(server) {
      const { tls } = settings();
      const { profile = 'intermediate', minVersion } = tls ?? {};
      // Clients that name no host are shown what the server itself has: nobody is asked.
      const id = unnamed();
      const shown = id === null ? null : certificates.materialOf(id);
      const chain = shown?.chain ?? null;
      if (inForce?.tls === tls && inForce.chain === chain) return;
      (server as Server).setSecureContext({
        minVersion: profile === 'modern' || minVersion?.endsWith('1.3') ? 'TLSv1.3' : 'TLSv1.2',
        ciphers: ciphers[profile].join(':'),
        secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
        sessionIdContext: 'lockstep',
        sessionTimeout: sessionSeconds,
        ...(shown === null ? {} : { cert: shown.chain, key: shown.key }),
      });
      tickets.serve(server);
      inForce = { tls, chain };
    },
  };
}
