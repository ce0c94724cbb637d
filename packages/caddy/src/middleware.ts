import { readPasswordHash } from '@lockstep/contract';
import type { Draft } from './draft.ts';
import { changeFields } from './header-operations.ts';
import type { Fault, Notes } from './notes.ts';
import { type Fields, fieldsAt, isFields, listAt, numberAt, textAt, textsAt } from './read-json.ts';
import { rewritePath } from './rewrite.ts';

/** Writes what a handler does to requests that go on behind it into the draft; null: done. */
export type Middleware = (draft: Draft, handler: Fields, at: string, notes: Notes) => Fault | null;

/** Those that are carried. */
export const middleware: Record<string, Middleware> = {
  headers(draft, handler, at, notes) {
    notes.unread(handler, at, ['handler', 'request', 'response']);
    changeFields(draft, 'request', handler.request, `${at}.request`, notes);
    const { require: condition, ...response } = fieldsAt(handler.response);
    if (condition === undefined) changeFields(draft, 'response', response, `${at}.response`, notes);
    else notes.without(`${at}.response.require`, 'changes some answers alone, and routes change all');
    return null;
  },
  rewrite: (draft, handler, at) => rewritePath(draft, handler, at),
  encode(draft, handler, at, notes) {
    const types = textsAt(fieldsAt(fieldsAt(handler.match).headers)['Content-Type']);
    if (handler.match !== undefined && types === null)
      notes.without(`${at}.match`, 'is not by the media type alone; those that compress well are compressed');
    const media = types
      ?.map((type) => type.replace(/;.*$/, '').trim())
      .filter((type) => /^[\w*.+-]+\/[\w*.+-]+$/.test(type));
    const minBytes = numberAt(handler.minimum_length);
    const options = {
      ...(media !== undefined && media.length > 0 && { types: media }),
      ...(minBytes !== null && { minBytes }),
    };
    draft.fields.compression = Object.keys(options).length > 0 ? options : true;
    return null;
  },
  authentication(draft, handler, at) {
    const providers = fieldsAt(handler.providers);
    const other = Object.keys(providers).find((name) => name !== 'http_basic');
    if (other !== undefined)
      return {
        at: `${at}.providers.${other}`,
        fault: 'is a way to prove who one is that routes do not have',
      };
    const basic = providers.http_basic;
    if (!isFields(basic)) return { at: `${at}.providers`, fault: 'names nobody' };
    const users: { name: string; passwordHash: string }[] = [];
    for (const [index, account] of listAt(basic.accounts).entries()) {
      const here = `${at}.providers.http_basic.accounts.${index}`;
      const name = textAt(fieldsAt(account).username);
      const passwordHash = hashOf(textAt(fieldsAt(account).password) ?? '');
      if (name === null || name.includes('{')) return { at: `${here}.username`, fault: 'is no name' };
      const read = readPasswordHash(passwordHash);
      // What it says is of the hash, never the hash.
      if ('fault' in read) return { at: `${here}.password`, fault: read.fault };
      users.push({ name, passwordHash });
    }
    if (users.length === 0) return { at: `${at}.providers.http_basic.accounts`, fault: 'names nobody' };
    if (draft.fields.basicAuth !== undefined) return { at, fault: 'asks a second time, behind another' };
    draft.fields.basicAuth = { realm: textAt(basic.realm) ?? 'restricted', users };
    return null;
  },
  request_body(draft, handler, at, notes) {
    notes.unread(handler, at, ['handler', 'max_size']);
    const bodyBytes = numberAt(handler.max_size);
    if (bodyBytes !== null && bodyBytes > 0) draft.fields.limits = { ...draft.fields.limits, bodyBytes };
    return null;
  },
  // Of use to other handlers alone: whoever uses them says so by a placeholder.
  vars: () => null,
  tracing: told('edges pass trace context on, and begin it'),
  log_append: told('the access log of edges has fields of its own'),
  map: () => null,
  push: told('HTTP/2 push is not done any more'),
  metrics: told('edges have metrics of their own'),
};

/** Earlier versions keep the hash as base64. */
function hashOf(password: string): string {
  return password.startsWith('$') ? password : Buffer.from(password, 'base64').toString('latin1');
}

function told(detail: string): Middleware {
  return (_draft, _handler, at, notes) => {
    notes.told(at, `is not carried: ${detail}`);
    return null;
  };
}
