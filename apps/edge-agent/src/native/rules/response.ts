import type { RouteRecord } from '@lockstep/contract';
import { compileFields } from './header-changes.ts';
import type { Gate } from './rule.ts';

/** `response` of a route. */
export function compileResponse({ response }: RouteRecord, route: string): Gate | null {
  if (response === undefined) return null;
  const { status, body: text = '', headers = {} } = response;
  const fieldsFor = compileFields(headers, route);
  const typed = Object.keys(headers).some((name) => name.toLowerCase() === 'content-type');
  const type = typed || text === '' ? [] : ['content-type', 'text/plain; charset=utf-8'];
  const body = text === '' ? null : Buffer.from(text);
  return { pass: (request) => ({ status, fields: [...type, ...fieldsFor(request)], body }) };
}
