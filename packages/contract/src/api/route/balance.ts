import { z } from 'zod';

/** RFC 9110, section 5.6.2: what names of fields and of cookies consist of. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

const Hash = z
  .strictObject({
    by: z.enum(['client_address', 'header', 'cookie']),
    name: z
      .string()
      .max(128)
      .regex(token, 'is no name of a field or a cookie')
      .optional()
      .describe('Of the header or the cookie; a request without it is dealt out in turn'),
  })
  .superRefine(({ by, name }, context) => {
    const fault =
      by === 'client_address' && name !== undefined
        ? 'belongs to by: "header" or "cookie"; leave it out'
        : by !== 'client_address' && name === undefined
          ? `is missing: which ${by} is meant`
          : null;
    if (fault !== null) context.addIssue({ code: 'custom', message: fault, path: ['name'] });
  });

const Sticky = z.strictObject({
  cookie: z
    .string()
    .min(1)
    .max(128)
    .regex(token, 'is no name of a cookie')
    .describe('Its value is opaque, and the same at every edge of the fleet'),
  maxAge: z
    .int()
    .min(1)
    .max(34_560_000)
    .optional()
    .describe('Seconds; left out: until the browser is closed'),
});

export const policies = ['round_robin', 'least_requests', 'random_two', 'hash', 'first'] as const;

/** To which of its upstreams a request of a route goes. */
export const RouteBalance = z
  .strictObject({
    policy: z.enum(policies).default('round_robin'),
    hash: Hash.optional().describe('By what the policy `hash` tells requests apart'),
    sticky: Sticky.optional().describe(
      'Whoever comes back goes where it went before, while that one is well',
    ),
  })
  .superRefine(({ policy, hash }, context) => {
    if (policy === 'hash' && hash === undefined)
      context.addIssue({
        code: 'custom',
        message: 'is missing: the policy "hash" needs to know by what, as in {"by": "client_address"}',
        path: ['hash'],
      });
    if (policy !== 'hash' && hash !== undefined)
      context.addIssue({
        code: 'custom',
        message: `belongs to the policy "hash", not to "${policy}"; leave it out, or set policy`,
        path: ['hash'],
      });
  })
  .meta({ id: 'RouteBalance' });
export type RouteBalance = z.infer<typeof RouteBalance>;
