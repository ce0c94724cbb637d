import { z } from 'zod';
import { servedText } from './served-text.ts';

const page = servedText.min(1, 'is empty; leave it out').optional();

/** HTML in place of the problem documents that edges answer with. */
export const pages = z
  .strictObject({ 404: page, 421: page, 502: page, 503: page, 504: page })
  .meta({ id: 'Pages' });
