import { z } from 'zod';
import { FieldValue } from './field-text.ts';
import { fieldsOf } from './headers.ts';
import { servedText } from './served-text.ts';

/** Without content (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5). */
const bodiless = [204, 205, 304];

export const response = z
  .strictObject({
    status: z.int().min(200).max(599),
    headers: fieldsOf(z.union([FieldValue, z.array(FieldValue).min(1).max(20)]))
      .describe('With the placeholders of `headers` of the route')
      .optional(),
    body: servedText.describe('Sent as UTF-8; `text/plain` where `headers` names no Content-Type').optional(),
  })
  .superRefine(({ status, body }, context) => {
    if (body === undefined || body === '' || !bodiless.includes(status)) return;
    const message = `cannot stand beside the status ${status}, which has no content; leave it out`;
    context.addIssue({ code: 'custom', message, path: ['body'] });
  })
  .meta({ id: 'RouteResponse', description: 'Each request is answered so' });
