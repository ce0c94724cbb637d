import type { RefusalReason } from '../../server/request-refusal.ts';
import type { ClientCertificates } from '../clients/client-certificates.ts';
import type { ShownCertificate } from '../tls/shown-certificates.ts';

/** Why a request does not come in to a route that asks for certificates; null when it does: then its upstream is told of the certificate. */
export function refusalOfClient(
  asked: ClientCertificates,
  shown: ShownCertificate | null,
  { host, headers }: { host: string; headers: string[] },
): RefusalReason | null {
  // There is no TLS, and so none to show.
  if (shown === null) return asked.required ? 'client_certificate_needed' : null;
  // Its handshake was another host's, and asked for what that one wants. A resumed session of TLS 1.2 has no name, and all that it may have shown.
  if (shown.name !== null && shown.name !== host) return 'misdirected';
  const client = shown.client();
  if (client === null) return asked.required ? 'client_certificate_needed' : null;
  if (!asked.trusts(client)) return 'client_certificate_untrusted';
  headers.push('client-cert', `:${client.leaf.raw.toString('base64')}:`); // RFC 9440
  return null;
}
