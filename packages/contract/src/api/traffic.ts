import { z } from 'zod';

const milliseconds = z.number().nullable();

/** What edges served of a route. */
export const RouteTraffic = z
  .object({
    route: z.string(),
    windows: z
      .array(
        z.object({
          minutes: z.int().describe('The last so many minutes, or up to a fifth more'),
          requests: z.int(),
          errors: z.int().describe('Answers of 500 and above'),
          bytes: z.object({ in: z.int(), out: z.int() }).describe('Of bodies, from clients and to them'),
          p50Ms: milliseconds.describe(
            'How long half of the answers took at most, from the head of the request to their end, a fifth off at most; null: there were none',
          ),
          p99Ms: milliseconds.describe('The same for 99 of 100'),
        }),
      )
      .describe('Over 1, 5 and 60 minutes'),
    nodes: z.object({
      answered: z.array(z.string()).describe('The edges whose figures these are'),
      missing: z.array(z.string()).describe('Live edges that did not answer in time'),
    }),
  })
  .meta({
    id: 'RouteTraffic',
    description:
      'Of the edges that are live now; a worker counts from its start, and keeps the 4,000 routes that were asked for last',
  });
export type RouteTraffic = z.infer<typeof RouteTraffic>;
