/**
 * What a token may be for. `…:write` is `…:read` as well, as what was written is answered with; `…:*` is both; `admin` is everything, that
 * which no other scope is for too.
 */
export const scopes = [
  'routes:read',
  'routes:write',
  'routes:*',
  'certificates:read',
  'certificates:write',
  'certificates:*',
  'issuers:read',
  'issuers:write',
  'issuers:*',
  'settings:read',
  'settings:write',
  'settings:*',
  'nodes:read',
  'nodes:write',
  'nodes:*',
  'events:read',
  'webhooks:read',
  'webhooks:write',
  'webhooks:*',
  'tokens:read',
  'tokens:write',
  'tokens:*',
  'audit:read',
  'admin',
] as const;

export type Scope = (typeof scopes)[number];

/** What one operation takes. */
export type NeededScope = Exclude<Scope, `${string}:*`>;

/** Whether whoever has these scopes may do what needs that one. */
export function grants(held: readonly Scope[], needed: Scope): boolean {
  const [subject, right] = needed.split(':');
  if (right === '*')
    return grants(held, `${subject}:read` as Scope) && grants(held, `${subject}:write` as Scope);
  return held.some(
    (scope) =>
      scope === 'admin' ||
      scope === needed ||
      scope === `${subject}:*` ||
      (right === 'read' && scope === `${subject}:write`),
  );
}
