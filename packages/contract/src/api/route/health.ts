import { z } from 'zod';
import { readAuthority } from '../../shared/authority.ts';

const durationMs = (least: number, most: number, standard: number) =>
  z.int().min(least).max(most).default(standard);
const times = (standard: number) => z.int().min(1).max(100).default(standard);

const status = z.union(
  [z.int().min(100).max(599), z.string().regex(/^[1-5]xx$/), z.string().regex(/^[1-5]\d\d-[1-5]\d\d$/)],
  { error: 'has to be a status such as 200, a class such as "2xx", or a range such as "200-399"' },
);

const expectStatus = z
  .union([status, z.array(status).min(1).max(20)], {
    error:
      'has to be a status such as 200, a class such as "2xx", a range such as "200-399", or a list of these',
  })
  .default('200-399');

const Active = z
  .strictObject({
    path: z
      .string()
      .max(2_048)
      .regex(/^\/[\x21-\x7e]*$/, 'starts with / and has no spaces')
      .regex(/^[^#]*$/, 'has no fragment')
      .default('/'),
    method: z.enum(['GET', 'HEAD', 'OPTIONS']).default('GET'),
    intervalMs: durationMs(100, 3_600_000, 10_000).describe('Between two checks, give or take a tenth'),
    timeoutMs: durationMs(10, 300_000, 5_000).describe('For a whole check, the connection included'),
    expectStatus,
    expectBody: z
      .string()
      .min(1)
      .max(1_024)
      .optional()
      .describe('A text that has to stand in the first 64 KiB of the body'),
    healthyAfter: times(2).describe('Passed checks in a row, after which it is well again'),
    unhealthyAfter: times(3).describe('Failed checks in a row, after which it gets no more requests'),
    host: z
      .string()
      .superRefine((input, context) => {
        const read = readAuthority(input);
        if ('fault' in read) context.addIssue({ code: 'custom', message: read.fault });
      })
      .optional()
      .describe('The Host of a check; left out: that of the upstream'),
  })
  .superRefine(({ method, expectBody }, context) => {
    if (method !== 'HEAD' || expectBody === undefined) return;
    const message = 'can never be met: an answer to HEAD has no body; set method to GET';
    context.addIssue({ code: 'custom', message, path: ['expectBody'] });
  });

const Passive = z.strictObject({
  failures: times(5).describe('Requests that failed by it, or were answered 5xx, save 501 and 505'),
  withinMs: durationMs(100, 3_600_000, 10_000).describe('Counted over this time'),
  coolDownMs: durationMs(100, 3_600_000, 30_000).describe(
    'How long it then gets no requests; twice as long each time that it fails again at once, up to ten times',
  ),
});

/** How an edge knows which upstreams of a route are well. */
export const RouteHealth = z
  .strictObject({
    active: Active.optional().describe('Each edge asks each upstream, once for all of its workers'),
    passive: Passive.optional().describe('What becomes of requests'),
    slowStartMs: z
      .int()
      .min(100)
      .max(3_600_000)
      .optional()
      .describe('One that is well again gets its full share only after this time'),
    noneHealthy: z
      .enum(['try_all', 'refuse'])
      .default('try_all')
      .describe('Where none is well: all of them are tried, or the answer is 503'),
  })
  .superRefine(({ active, passive }, context) => {
    if (active !== undefined || passive !== undefined) return;
    const message = 'is missing: health goes by active checks, by passive ones, or by both';
    context.addIssue({ code: 'custom', message, path: ['active'] });
  })
  .meta({ id: 'RouteHealth' });
export type RouteHealth = z.infer<typeof RouteHealth>;
