import { z } from 'zod';

const page = z
  .string()
  .min(1, 'is empty; leave it out')
  .max(65_536)
  .refine((html) => html.isWellFormed(), 'is not valid Unicode')
  .optional();

/** HTML in place of the problem documents that edges answer with. */
export const pages = z
  .strictObject({ 404: page, 421: page, 502: page, 503: page, 504: page })
  .meta({ id: 'Pages' });
