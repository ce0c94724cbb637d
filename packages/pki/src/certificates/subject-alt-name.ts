import { addressOfHost } from '@lockstep/contract';
import type { JsonGeneralName } from '@peculiar/x509';

/** How a host stands in the SAN of a request or a certificate (RFC 5280, section 4.2.1.6). */
export function altNameOf(host: string): JsonGeneralName {
  const address = addressOfHost(host);
  return address === null ? { type: 'dns', value: host } : { type: 'ip', value: address };
}
