import { z } from 'zod';
import { forwardedMethods } from '../../shared/forwarded-methods.ts';
import { isFramingField } from '../../shared/own-fields.ts';
import { FieldToken, PlainFieldValue } from './field-text.ts';

export const methods = z
  .array(
    z.string().refine((method) => forwardedMethods().has(method), {
      error: ({ input }) =>
        `"${input}" is no method that edges forward; methods are written in upper case, as GET and POST`,
    }),
  )
  .min(1, 'leave methods out, or name at least one')
  .max(20)
  .transform((all) => [...new Set(all)])
  .describe('The methods of its requests; GET takes HEAD with it. Left out: all');

const oneOf = { error: 'needs one of equals and present' };
const equalsText = 'The value, to the letter';
const conditions = {
  equals: z.string().max(1_024).optional().describe(equalsText),
  present: z.boolean().optional().describe('Whether there is such a one, whatever its value'),
};
const hasOne = ({ equals, present }: { equals?: string | undefined; present?: boolean | undefined }) =>
  (equals === undefined) !== (present === undefined);

/** What edges take out of a request before they look for its route. */
const unread = ['forwarded', 'x-real-ip', 'proxy', 'client-cert', 'client-cert-chain'];

export const match = z
  .strictObject({
    headers: z
      .array(
        z
          .strictObject({
            name: FieldToken.refine((name) => !isFramingField(name) && !unread.includes(name.toLowerCase()), {
              error: ({ input }) =>
                `"${input}" can never match: it is about one connection, or edges do not take a client's word for it`,
            }),
            ...conditions,
            equals: PlainFieldValue.max(1_024).optional().describe(equalsText),
          })
          .refine(hasOne, oneOf),
      )
      .min(1)
      .max(20)
      .optional(),
    query: z
      .array(z.strictObject({ name: z.string().min(1).max(256), ...conditions }).refine(hasOne, oneOf))
      .min(1)
      .max(20)
      .optional(),
  })
  .refine(({ headers, query }) => headers !== undefined || query !== undefined, {
    error: 'asks for nothing; leave match out, or name headers or query',
  })
  .describe('What a request has to have beside its host and path: all of it')
  .meta({ id: 'RouteMatch' });
