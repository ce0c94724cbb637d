/** The longest limits of a CA are over weeks. What is beyond any date must not become one. */
const longestMs = 30 * 86_400_000;

/** A Retry-After header (RFC 9110, section 10.2.3) as milliseconds from `now`, at most 30 days: seconds or a date; null without one. */
export function parseRetryAfter(header: unknown, now: number): number | null {
  if (typeof header !== 'string' || header.trim() === '') return null;
  if (/^\d+$/.test(header.trim())) return Math.min(longestMs, Number(header) * 1_000);
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.min(longestMs, Math.max(0, date - now));
}
