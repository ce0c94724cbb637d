import { z } from 'zod';

export const serverAddress = z
  .string()
  .regex(
    /^(\[[0-9a-fA-F:.]+\]|[^\s:]+)(:\d{1,5})?$/,
    'looks like 192.0.2.53, [2001:db8::53] or 127.0.0.1:5353',
  )
  .refine((address) => Number(/\]?:(\d+)$/.exec(address)?.[1] ?? 53) <= 65_535, 'has a port above 65535');
