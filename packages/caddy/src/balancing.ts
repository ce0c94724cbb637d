import type { Draft } from './draft.ts';
import type { Notes } from './notes.ts';
import { durationMsAt, type Fields, fieldsAt, listAt, numberAt, textAt } from './read-json.ts';

const mostRetries = 10;
const tryIntervalMs = 250;

/** Writes `load_balancing` of a `reverse_proxy` into the draft, whose upstreams are there already. */
export function balance(draft: Draft, value: unknown, at: string, notes: Notes): void {
  if (value === undefined || value === null) return;
  const given = fieldsAt(value);
  notes.unread(given, at, ['selection_policy', 'retries', 'try_duration', 'try_interval']);
  choosePolicy(draft, fieldsAt(given.selection_policy), `${at}.selection_policy`, notes);
  const tries = numberAt(given.retries);
  const forMs = durationMsAt(given.try_duration);
  if ((tries ?? 0) <= 0 && forMs === null) return;
  const everyMs = durationMsAt(given.try_interval) ?? tryIntervalMs;
  const attempts = tries !== null && tries > 0 ? tries : Math.ceil((forMs ?? 0) / everyMs);
  if (attempts > mostRetries)
    notes.told(
      `${at}.${tries === null ? 'try_duration' : 'retries'}`,
      `${attempts} tries become ${mostRetries}, the most there are`,
    );
  draft.fields.retries = { attempts: Math.max(1, Math.min(mostRetries, attempts)), on: ['connect'] };
}

function choosePolicy(draft: Draft, given: Fields, at: string, notes: Notes): void {
  const policy = textAt(given.policy);
  const { upstreams = [] } = draft.fields;
  if (policy === null || upstreams.length < 2) return;
  const hash = (by: 'client_address' | 'header', name?: string) => {
    draft.fields.balance = { policy: 'hash', hash: { by, ...(name !== undefined && { name }) } };
  };
  const field = textAt(given.field);
  switch (policy) {
    case 'round_robin':
      return;
    case 'random':
    case 'random_choose':
      draft.fields.balance = { policy: 'random_two' };
      return;
    case 'least_conn':
      draft.fields.balance = { policy: 'least_requests' };
      return;
    case 'first':
      draft.fields.balance = { policy: 'first' };
      return;
    case 'ip_hash':
    case 'client_ip_hash':
      hash('client_address');
      return;
    case 'header':
      if (field === null) break;
      hash('header', field);
      return;
    case 'cookie':
      draft.fields.balance = { policy: 'round_robin', sticky: { cookie: textAt(given.name) ?? 'lb' } };
      return;
    case 'weighted_round_robin': {
      const weights = listAt(given.weights).map(numberAt);
      if (weights.length === upstreams.length && weights.every((weight) => weight !== null)) {
        for (const [index, upstream] of upstreams.entries()) upstream.weight = weights[index]!;
        return;
      }
      break;
    }
  }
  notes.without(`${at}.policy`, `"${policy}" is none that there is here; requests are dealt out in turn`);
}
