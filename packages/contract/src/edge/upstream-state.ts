import { z } from 'zod';
import { Timestamp } from '../shared/timestamp.ts';

/** How an edge finds an upstream of routes that say how its health is known. */
export const UpstreamState = z
  .object({
    key: z.string(),
    url: z.string(),
    state: z.enum(['healthy', 'unhealthy', 'unknown']),
    by: z.enum(['active', 'passive']).nullable(),
    since: Timestamp.nullable(),
    detail: z.string().nullable(),
    checkedAt: Timestamp.nullable(),
  })
  .meta({ id: 'UpstreamState' });
export type UpstreamState = z.infer<typeof UpstreamState>;

/** One that gets no requests from an edge, as long as there are others. */
export const UnhealthyUpstream = z.object({
  /** `healthKeyOf` it. */
  key: z.string(),
  url: z.string(),
  since: Timestamp,
  detail: z.string(),
});
export type UnhealthyUpstream = z.infer<typeof UnhealthyUpstream>;
