const tenDaysMs = 10 * 86_400_000;

/**
 * When to renew a certificate, in milliseconds since 1970: at 2/3 of its lifetime, at 1/2 for lifetimes under ten days, up to
 * 2 % of the lifetime earlier so that a fleet's renewals spread.
 */
export function renewalDate(notBefore: number, notAfter: number, random: () => number = Math.random): number {
  const lifetimeMs = notAfter - notBefore;
  const share = lifetimeMs < tenDaysMs ? 1 / 2 : 2 / 3;
  return Math.round(notBefore + lifetimeMs * (share - random() * 0.02));
}
