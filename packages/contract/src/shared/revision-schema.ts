import { z } from 'zod';
import type * as plain from './revision.ts';

export const Revision = z.object({
  epoch: z.string(),
  number: z.int().nonnegative(),
}) satisfies z.ZodType<plain.Revision>;

export const Position = Revision.extend({ commitId: z.string() }) satisfies z.ZodType<plain.Position>;
