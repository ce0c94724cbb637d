import { z } from 'zod';
import { isFramingField } from '../../shared/own-fields.ts';
import { placeholders, unknownPlaceholder } from '../../shared/placeholders.ts';

/** The name of a field (RFC 9110, section 5.1). */
export const FieldToken = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'is not the name of a header field');

/** One that a route may set or take away. */
export const FieldName = FieldToken.refine((name) => !isFramingField(name), {
  error: ({ input }) =>
    `"${input}" cannot be changed: it frames the message or is about one connection, and Lockstep sets it; leave it out`,
});

/** A value of one (RFC 9110, section 5.5). Visible characters alone: no other reads the same everywhere. */
export const PlainFieldValue = z
  .string()
  .max(4_096)
  .regex(/^(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?$/, {
    error: 'has to be of visible ASCII characters, with spaces between them alone',
  });

/** The same, with placeholders. */
export const FieldValue = PlainFieldValue.refine((value) => unknownPlaceholder(value) === null, {
  error: ({ input }) => placeholderFault(String(input)),
});

export function placeholderFault(text: string): string {
  const known = placeholders.map((name) => `{${name}}`).join(', ');
  return `has {${unknownPlaceholder(text)}}, which stands for nothing; there are ${known}`;
}
