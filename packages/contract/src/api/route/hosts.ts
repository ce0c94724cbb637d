import { z } from 'zod';
import { isAppError } from '../../shared/app-error.ts';
import { normaliseHost } from '../../shared/hostname.ts';

export const Host = z.string().transform((input, context) => {
  try {
    return normaliseHost(input);
  } catch (error) {
    if (!isAppError(error)) throw error;
    context.addIssue({ code: 'custom', message: error.message });
    return z.NEVER;
  }
});

export const hosts = z
  .array(Host)
  .min(1, 'a route needs at least one host')
  .max(100)
  .transform((all) => [...new Set(all)])
  .describe('Exact names or `*.name`; stored in lower case, as A-labels');
