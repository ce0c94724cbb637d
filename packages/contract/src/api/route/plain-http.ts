import { z } from 'zod';

export const plainHttp = z
  .enum(['redirect', 'serve', 'refuse'])
  .describe('What becomes of requests over port 80: 308 to https (left out), the same as over https, or 403')
  .meta({ id: 'RoutePlainHttp' });
