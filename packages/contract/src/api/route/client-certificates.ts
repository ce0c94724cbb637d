import { z } from 'zod';
import { Authorities } from './upstream-tls.ts';

/** Which certificates clients have to show. */
export const clientCertificates = z
  .strictObject({
    ca: Authorities.describe('PEM certificates of those who issue them, those in between included'),
    mode: z
      .enum(['require', 'request'])
      .default('require')
      .describe('`require`: nobody comes in without one; `request`: one that is shown has to be good'),
  })
  .meta({ id: 'ClientCertificates' });

export const shownClientCertificates = z
  .object({ ca: z.string(), mode: z.enum(['require', 'request']) })
  .meta({ id: 'StoredClientCertificates' });
