import { z } from 'zod';
import { normalisePath } from '../../shared/request-path.ts';

/**
 * A path prefix: `/api` matches `/api` and `/api/…`, not `/apis`. Kept in the form in which the paths of requests are compared with it
 * (`normalisePath`); what is not ASCII is percent-encoded first, as clients do.
 */
export const PathPrefix = z
  .string()
  .max(1024)
  .regex(/^\/[^\s?#]*$/, 'a path starts with / and has no spaces, query or fragment')
  .transform((input, context) => {
    const normal = input.isWellFormed()
      ? normalisePath(input.replace(/[^\0-\x7f]+/g, encodeURIComponent))
      : { fault: 'the path is not valid Unicode' };
    if (typeof normal === 'string') return normal.replace(/\/+$/, '') || '/';
    context.addIssue({ code: 'custom', message: normal.fault });
    return z.NEVER;
  });

export const paths = z
  .array(PathPrefix)
  .min(1, 'leave paths out, or name at least one')
  .max(20)
  .transform((all) => [...new Set(all)])
  .default(['/'])
  .describe('Path prefixes; the longest that matches wins');
