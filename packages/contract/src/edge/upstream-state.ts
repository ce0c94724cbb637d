import { z } from 'zod';
import type { NodeUpstream } from '../api/node.ts';
import { Timestamp } from '../shared/timestamp.ts';

/** How an edge finds an upstream of routes that say how its health is known. */
export interface UpstreamState extends NodeUpstream {
  /** `healthKeyOf` it. */
  key: string;
}

/** One that gets no requests from an edge, as long as there are others. */
export const UnhealthyUpstream = z.object({
  /** `healthKeyOf` it. */
  key: z.string(),
  url: z.string(),
  since: Timestamp,
  detail: z.string(),
});
export type UnhealthyUpstream = z.infer<typeof UnhealthyUpstream>;
