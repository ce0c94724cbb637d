import { z } from 'zod';

/** A moment as Lockstep writes it (RFC 3339, in UTC). Its form is told, not checked: nobody else writes one. */
export const Timestamp = z.string().meta({ format: 'date-time' });
