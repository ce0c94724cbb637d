import { z } from 'zod';

const year = 31_536_000;

export const hsts = z
  .strictObject({
    maxAge: z
      .int()
      .min(0)
      .max(10 * year)
      .describe('In seconds; 0 takes it back'),
    includeSubDomains: z.boolean().optional(),
    preload: z.boolean().optional().describe('For the lists that browsers come with'),
  })
  .superRefine(({ maxAge, includeSubDomains, preload }, context) => {
    if (preload !== true || (includeSubDomains === true && maxAge >= year)) return;
    const message = `needs includeSubDomains and a maxAge of ${year} at least: no list takes the host without`;
    context.addIssue({ code: 'custom', message, path: ['preload'] });
  })
  .meta({ id: 'RouteHsts' });
