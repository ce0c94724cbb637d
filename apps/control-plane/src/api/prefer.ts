import { z } from 'zod';

const maxWaitSeconds = 300;
/** One preference with its value and parameters: what is quoted may hold commas and semicolons. */
const preference = /(?:"(?:\\.|[^"\\])*"?|[^",])+/g;
const wait = /^\s*wait\s*=\s*(?:"(\d+)"|(\d+))\s*(?:;|$)/i;

/**
 * The seconds of `Prefer: wait=N` (RFC 7240, section 4.3), capped at 300; null without one. What is not known or cannot be kept to is
 * passed over, and of several waits the first alone counts, as section 2 asks: whether one was kept to is in `Preference-Applied`.
 */
export function parseWait(header: string | string[] | undefined): number | null {
  const preferences = [header ?? []].flat().join(',').match(preference) ?? [];
  const first = preferences.find((text) => /^\s*wait\s*(?:[=;]|$)/i.test(text));
  const [, quoted, plain] = wait.exec(first ?? '') ?? [];
  const digits = quoted ?? plain;
  return digits === undefined ? null : Math.min(maxWaitSeconds, Number(digits));
}

export const preferHeaders = z.looseObject({
  prefer: z
    .string()
    .optional()
    .describe(
      '`wait=N` (RFC 7240): answer when every live edge serves the route, after N seconds at the latest',
    ),
});
