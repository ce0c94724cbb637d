import { z } from 'zod';

type Issue = Parameters<NonNullable<NonNullable<Parameters<typeof z.config>[0]>['customError']>>[0];

const things: Record<string, string> = {
  array: 'a list',
  object: 'an object',
  record: 'an object',
  int: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
};
const units: Record<string, string> = { string: 'characters', array: 'entries' };

/** What is wrong with a field, in words that go on from its name; undefined where zod's own will do. */
function wordsFor(issue: Issue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return 'is missing';
      return `has to be ${things[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `has to be ${issue.values.length === 1 ? '' : 'one of '}${issue.values.join(', ')}`;
    case 'too_small':
      return bound(issue.inclusive ? 'at least' : 'more than', issue.minimum, issue.origin);
    case 'too_big':
      return bound(issue.inclusive ? 'at most' : 'less than', issue.maximum, issue.origin);
    case 'invalid_key':
      return issue.issues[0]?.message;
    case 'invalid_union':
      if (issue.discriminator === undefined) return anyOf(issue.errors);
      return `has to be one of ${[issue.options ?? []].flat().join(', ')}`;
    case 'unrecognized_keys':
      // A line for each of them, in their order.
      return issue.keys.map((key) => noField(key, issue.inst)).join('\n');
    default:
      return undefined;
  }
}

/** With the field that was meant, where the names differ in case, in `_` and `-`, or in their end: `host`, `rate_limit`. */
function noField(key: string, inst: Issue['inst']): string {
  const { shape = {} } = (inst?._zod.def ?? {}) as { shape?: object };
  const given = plain(key);
  const near = Object.keys(shape).filter((name) => {
    const known = plain(name);
    return known === given || (given.length > 2 && (known.startsWith(given) || given.startsWith(known)));
  });
  return near.length === 1 ? `there is no such field; one is called "${near[0]}"` : 'there is no such field';
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[_-]/g, '');
}

/** What is wrong by each of several forms: of that which the value has as far as the fault, else what any of them would take. */
function anyOf(errors: z.core.$ZodIssue[][]): string | undefined {
  const first = errors.flatMap(([issue]) => issue ?? []);
  const inner = first.find(({ path }) => path.length > 0);
  if (inner !== undefined) return `has ${inner.path.join('.')}, which ${inner.message}`;
  const takes = first.flatMap(({ message }) => /^has to be (.+)$/.exec(message)?.[1] ?? []);
  return takes.length === first.length ? `has to be ${[...new Set(takes)].join(' or ')}` : undefined;
}

function bound(how: string, limit: number | bigint, origin: string): string {
  const unit = units[origin];
  return unit === undefined ? `has to be ${how} ${limit}` : `has to have ${how} ${limit} ${unit}`;
}

z.config({ customError: wordsFor });
