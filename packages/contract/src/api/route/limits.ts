import { z } from 'zod';

export const RouteLimits = z
  .strictObject({
    bodyBytes: z.int().min(0).optional().describe('Of a request’s body; beyond: 413'),
    connections: z
      .int()
      .min(1)
      .max(10_000)
      .optional()
      .describe('Of a worker to each upstream of the route, which then shares none with other routes'),
    pending: z
      .int()
      .min(0)
      .max(100_000)
      .optional()
      .describe('Requests of a worker that wait for a connection to one upstream; beyond: 503'),
    pendingMs: z.int().min(1).max(300_000).optional().describe('How long one waits so, at most; then 503'),
  })
  .meta({ id: 'RouteLimits', description: 'What is left out is as `settings.edge.limits` says' });
export type RouteLimits = z.infer<typeof RouteLimits>;
