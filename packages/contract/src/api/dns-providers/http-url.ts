import { z } from 'zod';
import { hasNoUser } from '../../shared/address.ts';

export const httpUrl = z
  .url({ protocol: /^https?$/, error: 'is not an http or https address' })
  .refine(hasNoUser, 'carries a user or password, which would be shown');
