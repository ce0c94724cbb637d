import type { RouteHealth } from '@lockstep/contract';
import type { Draft } from './draft.ts';
import type { Notes } from './notes.ts';
import { durationMsAt, type Fields, fieldsAt, isFields, numberAt, textAt, textsAt } from './read-json.ts';

/** Writes `health_checks` of a `reverse_proxy` into the draft. */
export function checkHealth(draft: Draft, value: unknown, at: string, notes: Notes): void {
  if (!isFields(value)) return;
  notes.unread(value, at, ['active', 'passive']);
  const active = readActive(value.active, `${at}.active`, notes);
  const passive = readPassive(value.passive, `${at}.passive`, notes);
  if (active === null && passive === null) return;
  // Caddy answers 503 where none is well.
  draft.fields.health = {
    ...(active && { active }),
    ...(passive && { passive }),
    noneHealthy: 'refuse',
  } as RouteHealth;
}

function readActive(value: unknown, at: string, notes: Notes): Fields | null {
  if (!isFields(value) || (value.uri === undefined && value.path === undefined)) return null;
  const read = [
    'uri',
    'path',
    'method',
    'headers',
    'interval',
    'timeout',
    'expect_status',
    'expect_body',
    'passes',
    'fails',
  ];
  notes.unread(value, at, read, ['max_size']);
  const headers = fieldsAt(value.headers);
  const hostField = Object.keys(headers).find((name) => name.toLowerCase() === 'host');
  for (const name of Object.keys(headers))
    if (name !== hostField) notes.without(`${at}.headers.${name}`, 'checks send no fields of their own');
  const host = hostField === undefined ? undefined : textsAt(headers[hostField])?.[0];
  const method = textAt(value.method)?.toUpperCase() ?? 'GET';
  if (!['GET', 'HEAD', 'OPTIONS'].includes(method))
    notes.without(`${at}.method`, `"${method}" is no method of checks`);
  const body = textAt(value.expect_body);
  const literal = body !== null && !/[\\^$.|?*+()[\]{}]/.test(body);
  if (body !== null && !literal)
    notes.without(`${at}.expect_body`, 'is a regular expression; checks look for a text');
  const status = numberAt(value.expect_status);
  return {
    path: textAt(value.uri) ?? textAt(value.path) ?? '/',
    ...(['HEAD', 'OPTIONS'].includes(method) && { method }),
    ...(host !== undefined && !host.includes('{') && { host }),
    intervalMs: durationMsAt(value.interval) ?? 30_000,
    timeoutMs: durationMsAt(value.timeout) ?? 5_000,
    expectStatus: status === null || status === 0 ? '2xx' : status < 10 ? `${status}xx` : status,
    ...(literal && { expectBody: body }),
    healthyAfter: Math.max(1, numberAt(value.passes) ?? 1),
    unhealthyAfter: Math.max(1, numberAt(value.fails) ?? 1),
  };
}

function readPassive(value: unknown, at: string, notes: Notes): Fields | null {
  if (!isFields(value)) return null;
  notes.unread(value, at, ['fail_duration', 'max_fails']);
  const withinMs = durationMsAt(value.fail_duration);
  if (withinMs === null) return null; // off, as it is in Caddy
  return {
    failures: Math.max(1, numberAt(value.max_fails) ?? 1),
    withinMs,
    coolDownMs: withinMs,
  };
}
