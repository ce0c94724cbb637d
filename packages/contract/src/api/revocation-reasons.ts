/** Why a certificate is revoked (RFC 5280, section 5.3.1), with the numbers that ACME sends. */
export const revocationReasons = {
  unspecified: 0,
  keyCompromise: 1,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
} as const;
