import type { EventDraft, OrderRecord, SeenDns } from '@lockstep/contract';
import { iso } from '../time/iso.ts';
import { persistWarningMs } from './persist-check.ts';

/** Between two looks at the record of dns-persist-01 that a certificate came by. */
const lookMs = 86_400_000;

/** Kept of a certificate that came by dns-persist-01. An authorization that the CA had already names no challenge: then the record that was there counts. */
export function persistWatchOf(order: OrderRecord, now: number): OrderRecord['persist'] {
  const { challengeType, seenDns, issuer } = order;
  const stands = seenDns?.challenge.some((one) => one.issuer === issuer && one.requirement.ok) ?? false;
  const came = challengeType === null ? stands : challengeType === 'dns-persist-01';
  return came ? { lookAt: iso(now + lookMs), told: null } : null;
}

/** The order after a look at its record, and what callers are told: once for each thing that is wrong. */
export function afterPersistLook(
  { id, order, issuer, notAfter }: { id: string; order: OrderRecord; issuer: string; notAfter: string },
  seen: SeenDns | null,
  now: number,
): { order: OrderRecord; events: EventDraft[]; detail: string | null } {
  const look = seen?.challenge.find((one) => one.issuer === issuer) ?? null;
  const lookAt = iso(now + lookMs);
  // The issuer does not want it any more, or cannot be asked for now.
  if (look === null || look.requirement.found === null)
    return {
      order: { ...order, persist: { lookAt, told: order.persist?.told ?? null } },
      events: [],
      detail: null,
    };
  const { requirement, until } = look;
  const ends = until !== null && Date.parse(until) - now < persistWarningMs;
  if (requirement.ok && !ends)
    return { order: { ...order, persist: { lookAt, told: null } }, events: [], detail: null };
  const mark = requirement.ok ? `until ${until}` : 'gone';
  const next = { ...order, persist: { lookAt, told: mark } };
  if (order.persist?.told === mark) return { order: next, events: [], detail: null };
  const { name, value, found, hint } = requirement;
  const data = {
    hosts: [order.host],
    issuer,
    name,
    value,
    found,
    until,
    detail: hint,
    renewAt: order.renewAt,
    notAfter,
  };
  const subject = { kind: 'certificate', id } as const;
  return {
    order: next,
    events: [{ type: 'certificate.validation_ending', subject, data }],
    detail: hint,
  };
}
