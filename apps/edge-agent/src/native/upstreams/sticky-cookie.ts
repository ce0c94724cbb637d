import { createHmac } from 'node:crypto';
import type { RouteBalance } from '@lockstep/contract';
import { cookieOf } from './request-cookie.ts';
import type { ChoiceRequest } from './upstream-choice.ts';

/** Says to a client's next requests which upstream its earlier ones went to, by a cookie that tells nothing of it. */
export interface StickyCookie {
  /** The place that the request's cookie names; -1 without one, and for one that names none. */
  placeOf(request: ChoiceRequest): number;
  /** The value of Set-Cookie for an answer of the upstream at this place; null where the client has it already. */
  setFor(request: ChoiceRequest, place: number): string | null;
}

export interface StickyCookieOptions {
  sticky: NonNullable<RouteBalance['sticky']>;
  /** What tells the upstreams of the route apart. */
  upstreams: readonly string[];
  route: string;
  /** The same at all edges of the fleet: a client comes to any of them. */
  secret: string;
}

export function createStickyCookie({ sticky, upstreams, route, secret }: StickyCookieOptions): StickyCookie {
  const { cookie, maxAge } = sticky;
  const values = upstreams.map((upstream) =>
    createHmac('sha256', secret).update(`sticky ${route} ${upstream}`).digest('base64url').slice(0, 16),
  );
  const lifetime = maxAge === undefined ? '' : `; Max-Age=${maxAge}`;
  const attributes = `; Path=/${lifetime}; Secure; HttpOnly; SameSite=Lax`;

  function placeOf({ headers }: ChoiceRequest): number {
    const value = cookieOf(headers, cookie);
    return value === null ? -1 : values.indexOf(value);
  }

  return {
    placeOf,
    setFor: (request, place) =>
      placeOf(request) === place ? null : `${cookie}=${values[place]}${attributes}`,
  };
}
