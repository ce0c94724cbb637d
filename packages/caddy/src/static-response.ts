import type { Draft } from './draft.ts';
import type { Notes } from './notes.ts';
import { hasPlaceholder, mapPlaceholders } from './placeholders.ts';
import { type Fields, fieldsAt, numberAt, textAt, textsAt } from './read-json.ts';

/** `edge`: the edges do this by themselves. */
export type Answer = 'done' | 'edge' | { fault: string; at: string };

/** Writes what a `static_response` or an `error` answers into the draft, as a redirect or a response. */
export function answerStatically(draft: Draft, handler: Fields, at: string, notes: Notes): Answer {
  notes.unread(handler, at, ['handler', 'status_code', 'headers', 'body', 'abort', 'error'], ['close']);
  const given = handler.status_code;
  if (typeof given === 'string' && numberAt(given) === null)
    return { at: `${at}.status_code`, fault: `"${given}" is known only as a request comes` };
  if (handler.abort === true) {
    notes.told(`${at}.abort`, 'is answered 403: an edge does not close connections without an answer');
    draft.fields.response = { status: 403 };
    return 'done';
  }
  const location = textsAt(findField(fieldsAt(handler.headers), 'location'))?.[0];
  const status = numberAt(given) ?? (handler.handler === 'error' ? 500 : location === undefined ? 200 : 302);
  if (location !== undefined && [301, 302, 303, 307, 308].includes(status))
    return redirect(draft, location, status, `${at}.headers.Location.0`);
  return respond(draft, handler, status, at, notes);
}

function redirect(draft: Draft, location: string, status: number, at: string): Answer {
  if (/^https:\/\/\{http\.request\.host\}\{http\.request\.uri\}$/.test(location)) return 'edge';
  const whole = /^(.*?)\{http\.request\.uri\}$/.exec(location);
  const path = /^(.*?)\{http\.request\.(?:orig_)?uri\.path\}(\?\{http\.request\.uri\.query\})?$/.exec(
    location,
  );
  const [, base = '', query] = whole ?? path ?? [];
  const keepPath = (whole !== null || path !== null) && base !== '';
  const mapped = mapPlaceholders(keepPath ? base : location);
  if ('unknown' in mapped) return { at, fault: `has ${mapped.unknown}, which stands for nothing here` };
  draft.fields.redirect = {
    to: mapped.text,
    status: status as 301,
    keepPath,
    keepQuery: whole !== null || query !== undefined,
  };
  return 'done';
}

function respond(draft: Draft, handler: Fields, status: number, at: string, notes: Notes): Answer {
  const body = textAt(handler.body);
  if (body !== null && hasPlaceholder(body)) {
    const mapped = mapPlaceholders(body);
    if ('unknown' in mapped || mapped.text !== body)
      return { at: `${at}.body`, fault: 'has placeholders, and bodies are sent as they are' };
  }
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(fieldsAt(handler.headers))) {
    const values = (textsAt(value) ?? []).map(mapPlaceholders);
    const fault = values.find((one) => 'unknown' in one);
    if (fault !== undefined) {
      notes.without(
        `${at}.headers.${name}`,
        `has ${(fault as { unknown: string }).unknown}, which stands for nothing here`,
      );
      continue;
    }
    const texts = values.map((one) => (one as { text: string }).text);
    if (texts.length > 0) headers[name] = texts.length === 1 ? texts[0]! : texts;
  }
  draft.fields.response = {
    status,
    ...(Object.keys(headers).length > 0 && { headers }),
    ...(body !== null && { body }),
  };
  return 'done';
}

function findField(headers: Fields, name: string): unknown {
  return headers[Object.keys(headers).find((other) => other.toLowerCase() === name) ?? name];
}
