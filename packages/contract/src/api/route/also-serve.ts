import { z } from 'zod';

export const alsoServe = z
  .enum(['www', 'apex'])
  .describe(
    'The other name of each host, with `www.` before it or without: it gets a certificate, and its requests are answered 308 to this one',
  )
  .meta({ id: 'RouteAlsoServe' });
