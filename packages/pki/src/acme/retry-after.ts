/** A Retry-After header (RFC 9110, section 10.2.3) as milliseconds from `now`: seconds or a date; null without one. */
export function parseRetryAfter(header: unknown, now: number): number | null {
  if (typeof header !== 'string' || header.trim() === '') return null;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1_000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}
