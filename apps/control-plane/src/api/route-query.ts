import { RouteHost } from '@lockstep/contract/schemas';
import { invalidField } from '../validation/invalid-field.ts';

/** Throws `invalid_request` for what is no host. */
export function parseHost(input: string): string {
  const parsed = RouteHost.safeParse(input);
  if (parsed.success) return parsed.data;
  throw invalidField('host', parsed.error.issues[0]?.message ?? 'is not a host');
}

const ofMetadata = /^metadata(?:\.(.*)|\[(.*)\])$/s;

/** `metadata.plan=pro`, or `metadata[plan]=pro`, for any key, as one field. */
export function collectMetadata(query: Record<string, unknown>): Record<string, unknown> {
  const metadata: [string, unknown][] = [];
  const rest: [string, unknown][] = [];
  for (const [name, value] of Object.entries(query)) {
    const found = ofMetadata.exec(name);
    if (found === null) rest.push([name, value]);
    else metadata.push([found[1] ?? found[2] ?? '', value]);
  }
  return metadata.length === 0
    ? query
    : Object.fromEntries([...rest, ['metadata', Object.fromEntries(metadata)]]);
}
