import { z } from 'zod';

/** Why a certificate is obtained again. */
export const RenewalReason = z.enum(['due', 'revoked', 'expiring', 'asked']);
export type RenewalReason = z.infer<typeof RenewalReason>;
