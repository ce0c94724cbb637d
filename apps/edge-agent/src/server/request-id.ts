import { randomUUID } from 'node:crypto';

const requestIdPattern = /^[A-Za-z0-9._:/+=@-]{1,128}$/;

/** The client's request id when it is a plain token, else a new one. */
export function requestIdOf(given: string | string[] | undefined): string {
  return typeof given === 'string' && requestIdPattern.test(given) ? given : randomUUID();
}
