import { z } from 'zod';

export const maintenance = z
  .union(
    [
      z.boolean(),
      z
        .strictObject({
          until: z.iso
            .datetime({ offset: true, error: 'is not a time such as 2026-12-01T06:00:00Z' })
            .optional()
            .describe('When it ends by itself; left out: when the route says so'),
          retryAfterSeconds: z
            .int()
            .min(1)
            .max(31_536_000)
            .optional()
            .describe('What clients are told to wait; left out: until `until`, or 300'),
        })
        .meta({ id: 'RouteMaintenanceOptions' }),
    ],
    { error: 'has to be true, false, or {"until": "2026-12-01T06:00:00Z", "retryAfterSeconds": 600}' },
  )
  .meta({ id: 'RouteMaintenance' });
