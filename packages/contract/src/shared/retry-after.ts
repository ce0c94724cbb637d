/** Of a CA's limits the slowest gives one more after 34 hours; whatever says more than a week is a mistake. */
const longestMs = 7 * 86_400_000;

/** A Retry-After header (RFC 9110, section 10.2.3) as milliseconds from `now`, at most a week: seconds or a date; null without one. */
export function parseRetryAfter(header: unknown, now: number): number | null {
  if (typeof header !== 'string' || header.trim() === '') return null;
  if (/^\d+$/.test(header.trim())) return Math.min(longestMs, Number(header) * 1_000);
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.min(longestMs, Math.max(0, date - now));
}
