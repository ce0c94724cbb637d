import type { JsonName } from '@peculiar/x509';

const maxCommonNameLength = 64; // RFC 5280, appendix A.1: ub-common-name

/** Whether the host fits the common name. Where it does not, the subject is empty and the SAN critical (RFC 5280, section 4.2.1.6). */
export function isCommonName(host: string): boolean {
  return host.length <= maxCommonNameLength;
}

export function subjectOf(host: string): JsonName {
  return isCommonName(host) ? [{ CN: [{ utf8String: host }] }] : [];
}
