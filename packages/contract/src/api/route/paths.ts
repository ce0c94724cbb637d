import { z } from 'zod';
import { normalisePath } from '../../shared/request-path.ts';

/** One path alone, as `=/login`: beside the prefixes, of which none can begin so. */
const exactMark = '=';

/**
 * A path prefix: `/api` matches `/api` and `/api/…`, not `/apis`. Kept in the form in which the paths of requests are compared with it
 * (`normalisePath`); what is not ASCII is percent-encoded first, as clients do.
 */
export const PathPrefix = z
  .string()
  .max(1024)
  .regex(/^\/[^\s?#]*$/, 'a path starts with / and has no spaces, query or fragment')
  .transform((input, context) => normal(input, context).replace(/\/+$/, '') || '/');

function normal(input: string, context: z.RefinementCtx): string {
  const path = input.isWellFormed()
    ? normalisePath(input.replace(/[^\0-\x7f]+/g, encodeURIComponent))
    : { fault: 'the path is not valid Unicode' };
  if (typeof path === 'string') return path;
  context.addIssue({ code: 'custom', message: path.fault });
  return ''; // the issue refuses it, whatever is made of it
}

/** One path, as it is. */
export const ServedPath = z
  .string()
  .max(1024)
  .regex(/^\/[^\s?#]*$/, 'a path starts with / and has no spaces, query or fragment')
  .transform(normal);

const RoutePath = z
  .string()
  .max(1024)
  .regex(
    /^=?\/[^\s?#]*$/,
    'a path starts with / (or with =/, for this path alone) and has no spaces, query or fragment',
  )
  .transform((input, context) => {
    if (input.startsWith(exactMark)) return exactMark + normal(input.slice(1), context);
    return normal(input, context).replace(/\/+$/, '') || '/';
  });

export const paths = z
  .array(RoutePath)
  .min(1, 'leave paths out, or name at least one')
  .max(20)
  .transform((all) => [...new Set(all)])
  .default(['/'])
  .describe('Path prefixes, of which the longest that matches wins; `=/login` is this path alone');
