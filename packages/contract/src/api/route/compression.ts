import { z } from 'zod';

const mediaType = z
  .string()
  .max(128)
  .transform((type) => type.toLowerCase())
  .refine((type) => /^(?:\*\/\*|[a-z0-9!#$&^_.+-]+\/(?:\*|[a-z0-9!#$&^_.+-]+|\*\+[a-z0-9.-]+))$/.test(type), {
    error: 'is no media type such as text/html, text/* or application/*+json',
  });

/** Which answers are compressed for clients that take it. */
export const compression = z
  .union(
    [
      z.boolean(),
      z
        .strictObject({
          types: z
            .array(mediaType)
            .min(1, 'leave types out, or name at least one')
            .max(100)
            .transform((all) => [...new Set(all)])
            .optional()
            .describe('Media types, such as `text/*`; left out: those that compress well'),
          minBytes: z
            .int()
            .min(0)
            .max(16_777_216)
            .optional()
            .describe('Answers whose length is below this are sent as they are; left out: 1024'),
        })
        .meta({ id: 'RouteCompressionOptions' }),
    ],
    { error: 'has to be true, false, or {"types": ["text/*"], "minBytes": 1024}' },
  )
  .meta({ id: 'RouteCompression' });

export const shownCompression = z
  .union([z.boolean(), z.object({ types: z.array(z.string()).optional(), minBytes: z.int().optional() })])
  .meta({ id: 'StoredRouteCompression' });
