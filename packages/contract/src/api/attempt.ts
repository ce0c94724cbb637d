import { z } from 'zod';
import { Timestamp } from '../shared/timestamp.ts';
import { ChallengeType } from './challenge.ts';

export const AcmeProblemDocument = z
  .object({
    status: z.int().nullable().describe('The HTTP status; null when the CA did not answer'),
    type: z.string().nullable(),
    detail: z.string(),
    subproblems: z.array(
      z.object({ type: z.string(), detail: z.string(), identifier: z.string().nullable() }),
    ),
  })
  .meta({ id: 'AcmeProblemDocument', description: 'What the CA answered (RFC 8555, section 6.7)' });
export type AcmeProblemDocument = z.infer<typeof AcmeProblemDocument>;

export const Attempt = z
  .object({
    number: z.int().describe('Issuers that were tried in one go share it'),
    issuer: z.string(),
    step: z.string().describe('How far it came'),
    challenge: ChallengeType.nullable(),
    outcome: z.enum(['issued', 'failed']),
    detail: z.string().describe('What happened, in a sentence'),
    problem: AcmeProblemDocument.nullable(),
    next: z.string().describe('What happens next, in a sentence'),
    link: z
      .url({ protocol: /^https$/ })
      .optional()
      .describe(
        'Where the CA wants to be visited, as to lift a pause of the name. It acts for the whole account: a token that is bound to a tenant or to names is not shown it',
      ),
    at: Timestamp,
  })
  .meta({ id: 'Attempt' });
export type Attempt = z.infer<typeof Attempt>;

export const Attempts = z.object({ items: z.array(Attempt) }).meta({ id: 'Attempts' });
export type Attempts = z.infer<typeof Attempts>;
