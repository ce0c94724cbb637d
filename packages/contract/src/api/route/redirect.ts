import { z } from 'zod';
import { unknownPlaceholder } from '../../shared/placeholders.ts';
import { placeholderFault } from './field-text.ts';

const location =
  /^(?:https?:\/\/[^\s/?#@\\{}]+(?:(?:[/?#]|\{path\})[\x21-\x7e]*)?|\/(?![/\\])[\x21-\x7e]*|(?:https?|\{scheme\}):\/\/\{host\}[\x21-\x7e]*)$/;

export const redirect = z
  .strictObject({
    to: z
      .string()
      .max(2_048)
      .regex(location, 'has to be an http or https address, or a path that begins with one /')
      .refine((to) => unknownPlaceholder(to) === null, {
        error: ({ input }) => placeholderFault(String(input)),
      })
      .describe('Where to: an address, or a path of the same host; takes the placeholders of `headers`'),
    status: z
      .literal([301, 302, 303, 307, 308])
      .default(302)
      .describe('308 and 301 are for good; 307 and 308 keep the method and the body'),
    keepPath: z.boolean().default(false).describe('The path of the request goes behind that of `to`'),
    keepQuery: z.boolean().default(false).describe('The query of the request goes with it'),
  })
  .superRefine(({ to, keepPath }, context) => {
    if (!keepPath || !/[?#]/.test(to)) return;
    const message = 'has a query or a fragment, behind which no path can go; leave keepPath out, or them';
    context.addIssue({ code: 'custom', message, path: ['to'] });
  })
  .meta({ id: 'RouteRedirect', description: 'Each request is answered with a redirect' });
