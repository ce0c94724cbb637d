import { z } from 'zod';

const mostBytes = 65_536;

/** What edges answer with, as UTF-8: up to 64 KiB of it. */
export const servedText = z
  .string()
  .max(mostBytes)
  .refine((text) => text.isWellFormed(), 'is not valid Unicode')
  .refine((text) => Buffer.byteLength(text) <= mostBytes, `has more than ${mostBytes} bytes as UTF-8`);
