import { z } from 'zod';
import { type ErrorCode, errorCodes } from '../shared/error-code.ts';

/** RFC 9457 problem document. `code` is stable; `errors` has one entry for each bad field. */
export const Problem = z
  .looseObject({
    type: z.string().describe('`urn:lockstep:problem:` and the code'),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe('A sentence for people'),
    code: z.enum(Object.keys(errorCodes) as [ErrorCode]).describe('Stable: what programs go by'),
    instance: z.string().optional().describe('The id of the request, as in the log'),
    errors: z
      .array(
        z.object({
          pointer: z
            .string()
            .describe(
              'A JSON pointer into the body (empty: the whole of it), or the name of a parameter or header',
            ),
          detail: z.string(),
        }),
      )
      .optional()
      .describe('With `invalid_request`: one for each fault'),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof Problem>;
