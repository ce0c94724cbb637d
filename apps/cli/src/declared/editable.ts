import type { Issuer, Route, Settings } from '@lockstep/client';

/** What of a route can be given. */
export function editableRoute({
  revision,
  createdAt,
  updatedAt,
  status,
  ...rest
}: Route): Record<string, unknown> {
  return rest;
}

/** What of an issuer can be given; its secrets are not shown, and stay where they are left out. */
export function editableIssuer(issuer: Issuer): Record<string, unknown> {
  const { name, source, secrets, accountUrl, revision, eab, ...rest } = issuer;
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
}

/** What of the settings can be given. */
export function settable(settings: Settings): Record<string, unknown> {
  const { revision, ...rest } = settings as Settings & { revision?: unknown };
  return rest;
}
