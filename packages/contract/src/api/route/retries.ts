import { z } from 'zod';

export const retryReasons = ['connect', 'reset', '5xx'] as const;

/** When a request of a route is sent once more. */
export const RouteRetries = z
  .strictObject({
    attempts: z.int().min(1).max(10).describe('How often, besides the first time'),
    on: z
      .array(z.enum(retryReasons))
      .min(1, 'leave on out, or name at least one')
      .max(retryReasons.length)
      .default(['connect', 'reset'])
      .describe(
        '`connect`: it could not be sent. `reset`: the connection broke before the head of an answer. `5xx`: the answer is 5xx, or none comes in time',
      ),
  })
  .meta({
    id: 'RouteRetries',
    description:
      'All but what could not be sent is repeated for idempotent methods without a body alone, and for a fifth of the requests at most',
  });
export type RouteRetries = z.infer<typeof RouteRetries>;
