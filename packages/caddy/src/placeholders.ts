import { ownOf } from './read-json.ts';

/** What Caddy's placeholders are called here. */
const names: Record<string, string> = {
  'http.request.host': '{host}',
  'http.request.remote.host': '{client_address}',
  'http.request.client_ip': '{client_address}',
  'http.vars.client_ip': '{client_address}',
  'http.request.uuid': '{request_id}',
  'http.request.scheme': '{scheme}',
  'http.request.uri.path': '{path}',
  'http.request.orig_uri.path': '{path}',
};

const placeholder = /\{([A-Za-z$][\w.$~-]*)\}/g;

/** A text of Caddy's with the placeholders that there are here; `unknown` names the first that there is not. */
export function mapPlaceholders(text: string): { text: string } | { unknown: string } {
  let unknown: string | null = null;
  const mapped = text.replace(placeholder, (all, name: string) => {
    const known = ownOf(names, name);
    if (known === undefined) unknown ??= all;
    return known ?? all;
  });
  return unknown === null ? { text: mapped } : { unknown };
}

export function hasPlaceholder(text: string): boolean {
  return text.search(placeholder) !== -1;
}
