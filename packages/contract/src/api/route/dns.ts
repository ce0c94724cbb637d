import { z } from 'zod';

/** What the look at the DNS before an order has to know of a route's hosts. */
export const dns = z
  .strictObject({
    proxiedBy: z
      .literal('cdn')
      .optional()
      .describe('Something in front, which the hosts lead to and which leads here; the look accepts it'),
  })
  .meta({ id: 'RouteDns' });
