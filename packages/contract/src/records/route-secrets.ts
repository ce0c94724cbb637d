/** How the secrets of a route are called in what is sealed of it (`sealedSecrets`): a text each, in JSON. */
export type RouteSecrets = Record<string, string>;

export function passwordOf(user: string): string {
  return `basicAuth ${user}`;
}
