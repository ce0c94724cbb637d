import { z } from 'zod';
import { readPasswordHash } from '../../shared/password-hash.ts';

const printable = /^[\x20-\x7e]*$/;

const passwordHash = z
  .string()
  .max(512)
  .superRefine((hash, context) => {
    const read = readPasswordHash(hash);
    if ('fault' in read) context.addIssue({ code: 'custom', message: read.fault });
  });

const user = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(128)
    // RFC 7617, section 2: the first colon ends it.
    .regex(/^[^:\p{Cc}]*$/u, 'has a colon or a control character, which no name can have'),
  passwordHash: passwordHash
    .optional()
    .meta({ writeOnly: true })
    .describe(
      'Of bcrypt or argon2id, as `htpasswd -nB NAME` and `caddy hash-password` make it; stored sealed and never shown. Left out: the one that the user of this name has',
    ),
});

/** Who may use a route, by a name and a password (RFC 7617). */
export const basicAuth = z
  .strictObject({
    realm: z
      .string()
      .min(1)
      .max(128)
      .regex(printable, 'has to be of printable ASCII characters')
      .describe('What browsers show beside the question'),
    users: z
      .array(user)
      .min(1)
      .max(500)
      .superRefine((users, context) => {
        const seen = new Set<string>();
        for (const [index, { name }] of users.entries()) {
          if (seen.has(name))
            context.addIssue({ code: 'custom', message: `"${name}" is named twice`, path: [index, 'name'] });
          seen.add(name);
        }
      }),
  })
  .meta({ id: 'RouteBasicAuth' });

export const shownBasicAuth = z
  .object({ realm: z.string(), users: z.array(z.object({ name: z.string() })) })
  .meta({ id: 'StoredRouteBasicAuth' });
