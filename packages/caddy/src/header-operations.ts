import { addField, type Draft, removeField, type Side, setField } from './draft.ts';
import type { Notes } from './notes.ts';
import { mapPlaceholders } from './placeholders.ts';
import { fieldsAt, textsAt } from './read-json.ts';

/** What edges set by themselves, with the same values: there is nothing to carry. */
const ownFields: Record<string, readonly string[]> = {
  host: ['{host}'],
  'x-forwarded-for': ['{client_address}'],
  'x-forwarded-proto': ['{scheme}'],
  'x-forwarded-host': ['{host}'],
};
const ownValues: Record<string, string> = { '{http.request.hostport}': '{host}' };

/** Writes the header operations of Caddy that stand at `at` into the draft. */
export function changeFields(draft: Draft, side: Side, value: unknown, at: string, notes: Notes): void {
  const operations = fieldsAt(value);
  notes.unread(operations, at, ['add', 'set', 'delete'], ['deferred']);
  for (const [name, given] of Object.entries(fieldsAt(operations.add))) {
    const values = readValues(given, `${at}.add.${name}`, notes);
    if (values !== null && isName(name, `${at}.add.${name}`, notes)) addField(draft, side, name, values);
  }
  for (const [name, given] of Object.entries(fieldsAt(operations.set))) {
    const here = `${at}.set.${name}`;
    const own = side === 'request' ? ownFields[name.toLowerCase()] : undefined;
    const [only] = textsAt(given) ?? [];
    const mapped = only === undefined ? undefined : (ownValues[only] ?? textOf(only));
    if (own !== undefined && mapped !== undefined && own.includes(mapped)) continue;
    if (own !== undefined) {
      notes.without(here, `edges set ${name} themselves, to what the client named`);
      continue;
    }
    const values = readValues(given, here, notes);
    if (values === null || !isName(name, here, notes)) continue;
    const hsts = side === 'response' && /^strict-transport-security$/i.test(name) ? readHsts(values) : null;
    if (hsts !== null) draft.fields.hsts = hsts;
    else setField(draft, side, name, values);
  }
  for (const [index, name] of (textsAt(operations.delete) ?? []).entries())
    if (isName(name, `${at}.delete.${index}`, notes)) removeField(draft, side, name);
}

function isName(name: string, at: string, notes: Notes): boolean {
  if (/^[A-Za-z0-9!#$%&'+.^_`|~-]+$/.test(name)) return true;
  notes.without(at, `"${name}" is not one header field, and routes name each`);
  return false;
}

function readValues(given: unknown, at: string, notes: Notes): string[] | null {
  const values = textsAt(given);
  if (values === null) {
    notes.without(at, 'is no list of values');
    return null;
  }
  const mapped = values.map(mapPlaceholders);
  const fault = mapped.find((one) => 'unknown' in one);
  if (fault !== undefined) {
    notes.without(at, `has ${(fault as { unknown: string }).unknown}, which stands for nothing here`);
    return null;
  }
  return mapped.map((one) => (one as { text: string }).text);
}

function textOf(value: string): string | undefined {
  const mapped = mapPlaceholders(value);
  return 'text' in mapped ? mapped.text : undefined;
}

/** RFC 6797, section 6.1; null for one that says more than a route can. */
function readHsts(
  values: string[],
): { maxAge: number; includeSubDomains?: boolean; preload?: boolean } | null {
  const parts = values.length === 1 ? values[0]!.split(';').map((part) => part.trim().toLowerCase()) : [];
  const age = /^max-age="?(\d{1,9})"?$/.exec(parts.find((part) => part.startsWith('max-age')) ?? '')?.[1];
  const rest = parts.filter((part) => part !== '' && !part.startsWith('max-age'));
  if (age === undefined || !rest.every((part) => part === 'includesubdomains' || part === 'preload'))
    return null;
  const includeSubDomains = rest.includes('includesubdomains');
  const preload = rest.includes('preload') && includeSubDomains && Number(age) >= 31_536_000;
  return {
    maxAge: Number(age),
    ...(includeSubDomains && { includeSubDomains }),
    ...(preload && { preload }),
  };
}
