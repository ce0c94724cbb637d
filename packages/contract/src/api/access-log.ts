import { z } from 'zod';

const shown = z.enum(['full', 'truncated', 'hidden']).default('full');
const notPlace = 'is neither "stdout" nor an absolute path that ends in .log';
const share = z.number().min(0).max(1);

/** A line for each answer of an edge. */
export const AccessLog = z
  .strictObject({
    format: z
      .enum(['json', 'combined'])
      .default('json')
      .describe(
        '`json`: a JSON object a line, as the log of an edge has; `combined`: as Apache and nginx write',
      ),
    to: z
      .union(
        [
          z.literal('stdout'),
          z
            .string()
            .max(1_024)
            .regex(/^(?:\/(?!\.{1,2}\/)[^/\0]+)+(?<=\.log)$/, notPlace),
        ],
        { error: notPlace },
      )
      .default('stdout')
      .describe('A file is opened anew by each SIGUSR1, after it was renamed'),
    sample: share.default(1).describe('The share of answers that get a line'),
    routes: z
      .record(z.string().min(1).max(128), share)
      .default({})
      .describe('The same for single routes, by their ids'),
    query: shown.describe('`truncated`: the names of parameters without their values'),
    clientAddress: shown.describe('`truncated`: the first 24 bits of IPv4, 48 of IPv6'),
  })
  .meta({ id: 'AccessLog' });
export type AccessLog = z.infer<typeof AccessLog>;
