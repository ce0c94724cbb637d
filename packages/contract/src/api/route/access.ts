import { z } from 'zod';
import { normaliseRange, strayBits } from '../../shared/address-ranges.ts';

/** An IP address or a CIDR range, kept in its one form. */
const AddressRange = z.string().transform((input, context) => {
  const range = normaliseRange(input);
  const stray = strayBits(input);
  if (range !== null && stray === null) return range;
  const message = stray ?? 'is neither an IP address nor a range such as 203.0.113.0/24 or 2001:db8::/48';
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

const ranges = z
  .array(AddressRange)
  .min(1, 'leave it out, or name at least one range')
  .max(500)
  .transform((all) => [...new Set(all)]);

/** Which clients a route is for. */
export const access = z
  .strictObject({
    allow: ranges.optional().describe('These clients alone; left out: all'),
    deny: ranges.optional().describe('Not these, whatever `allow` says'),
  })
  .meta({ id: 'RouteAccess' });

export const shownAccess = z
  .object({ allow: z.array(z.string()).optional(), deny: z.array(z.string()).optional() })
  .meta({ id: 'StoredRouteAccess' });
