import { z } from 'zod';

const fieldName = z
  .string()
  .max(256)
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'is no name of a header, such as X-Api-Key');

/** How often a route may be asked for, at each edge: so many requests at once, and one more each `perMs / requests`. */
export const rateLimit = z
  .strictObject({
    requests: z.int().min(1).max(1_000_000).describe('So many in `perMs`, in the long run'),
    perMs: z.int().min(1).max(86_400_000),
    burst: z
      .int()
      .min(1)
      .max(1_000_000)
      .optional()
      .describe('So many at once, after a pause; left out: `requests`'),
    by: z
      .union([z.enum(['client_address', 'route']), z.strictObject({ header: fieldName })], {
        error: 'has to be client_address, route, or {"header": "X-Api-Key"}',
      })
      .describe(
        'Who has a limit of their own: each client address (of IPv6, each /64), nobody (one limit for all), or each value of a header; requests without it share one',
      ),
  })
  .meta({ id: 'RouteRateLimit' });
