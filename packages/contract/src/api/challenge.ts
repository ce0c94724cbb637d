import { z } from 'zod';

export const ChallengeType = z
  .enum(['http-01', 'tls-alpn-01', 'dns-01', 'dns-persist-01'])
  .meta({ id: 'ChallengeType' });
export type ChallengeType = z.infer<typeof ChallengeType>;
