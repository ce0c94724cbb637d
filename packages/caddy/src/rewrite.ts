import type { Draft } from './draft.ts';
import type { Fault } from './notes.ts';
import { type Fields, textAt } from './read-json.ts';

/** Writes a `rewrite` into the draft; null: done. */
export function rewritePath(draft: Draft, handler: Fields, at: string): Fault | null {
  for (const [name, value] of Object.entries(handler)) {
    if (['handler', 'uri', 'strip_path_prefix'].includes(name) || value === '' || value === null) continue;
    return { at: `${at}.${name}`, fault: 'is a rewrite that routes do not have' };
  }
  const strip = textAt(handler.strip_path_prefix);
  const uri = textAt(handler.uri);
  const before = draft.fields.rewrite ?? {};
  const stripPrefix = strip === null ? null : `/${strip.replace(/^\/+|\/+$/g, '')}`;
  if (stripPrefix !== null && stripPrefix !== '/') {
    if (before.addPrefix !== undefined)
      return { at: `${at}.strip_path_prefix`, fault: 'takes off what another rewrite has put there' };
    draft.fields.rewrite =
      before.path === undefined
        ? { stripPrefix: (before.stripPrefix ?? '') + stripPrefix }
        : {
            path: before.path.startsWith(stripPrefix)
              ? before.path.slice(stripPrefix.length) || '/'
              : before.path,
          };
  }
  return uri === null ? null : rewriteUri(draft, uri, `${at}.uri`);
}

function rewriteUri(draft: Draft, uri: string, at: string): Fault | null {
  const before = draft.fields.rewrite ?? {};
  const [, prefix] = /^(\/[^{?]*)\{http\.request\.(?:uri|uri\.path)\}$/.exec(uri) ?? [];
  if (prefix !== undefined) {
    const addPrefix = prefix.replace(/\/+$/, '');
    if (before.path !== undefined || addPrefix === '')
      return { at, fault: `"${uri}" is a rewrite that routes do not have` };
    draft.fields.rewrite = { ...before, addPrefix: addPrefix + (before.addPrefix ?? '') };
    return null;
  }
  if (!/^\/[^{}?#]*$/.test(uri)) return { at, fault: `"${uri}" is a rewrite that routes do not have` };
  draft.fields.rewrite = { path: uri };
  return null;
}
