import type { IncomingMessage } from 'node:http';
import { readRequestTarget } from '@lockstep/contract';
import { invalidField } from '../validation/invalid-field.ts';

/**
 * The target of a request in origin form, read and normalised as edges do it. One in absolute form names the host in place of the
 * Host field (RFC 9112, section 3.2.2), which is set to it, so that everything after this reads one host. What cannot be read stays as
 * it is, for `checkTarget` to refuse.
 */
export function toOriginForm(request: IncomingMessage): string {
  const target = request.url ?? '/';
  const read = readRequestTarget(target, request.method ?? 'GET');
  if ('fault' in read) return target;
  if (read.authority !== null) request.headers.host = read.authority.authority;
  return read.path;
}

/** Throws `invalid_request` for a target that no address of a server can be. */
export function checkTarget({ url = '/', method = 'GET' }: IncomingMessage): void {
  const read = readRequestTarget(url, method);
  if ('fault' in read) throw invalidField('path', read.fault);
}

export function pathOf(target: string): string {
  return target.split('?', 1)[0] ?? '';
}
