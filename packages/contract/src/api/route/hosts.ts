import { z } from 'zod';
import { isAppError } from '../../shared/app-error.ts';
import { normaliseHost, normaliseRouteHost } from '../../shared/hostname.ts';

function hostBy(normalise: (input: string) => string) {
  return z.string().transform((input, context) => {
    try {
      return normalise(input);
    } catch (error) {
      if (!isAppError(error)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  });
}

/** A name. */
export const Host = hostBy(normaliseHost);
/** What a route may be for: a name, or an IP address. */
export const RouteHost = hostBy(normaliseRouteHost);

export const hosts = z
  .array(RouteHost)
  .min(1, 'a route needs at least one host')
  .max(100)
  .transform((all) => [...new Set(all)])
  .describe('Exact names or `*.name`, stored in lower case, as A-labels; or IP addresses, IPv6 in brackets');
