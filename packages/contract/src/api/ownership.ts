import { z } from 'zod';

/** What has to be proven before a host is claimed and served. */
export const OwnershipPolicy = z.enum(['off', 'txt', 'http']).meta({ id: 'OwnershipPolicy' });
export type OwnershipPolicy = z.infer<typeof OwnershipPolicy>;
