import type { ChallengeType, SeenPersist } from '@lockstep/contract';
import { DnsFailure } from '../dns/dns-failure.ts';
import { persistName, persistValue, tellPersist } from '../dns/persist-record.ts';
import type { PersistRecords } from '../dns/persist-records.ts';
import { shownRecords } from '../dns/shown-records.ts';
import { type Issuer, IssuerFailure } from '../issuers/issuer.ts';
import { iso } from '../time/iso.ts';

/** So long before a record runs out its owner is told: renewals come that far apart. */
export const persistWarningMs = 30 * 86_400_000;

export interface PersistCheck {
  /** An order at the issuer may succeed, by this record or because another type of challenge may prove the host. */
  allowed: boolean;
  /** What is wrong. */
  detail: string;
  /** Null: the issuer wants no such record, or what it wants cannot be told yet. */
  seen: SeenPersist | null;
}

export const noRecord: PersistCheck = { allowed: true, detail: '', seen: null };

/** Looks whether the record of dns-persist-01 lets an issuer validate a host. Never rejects for what the CA or the DNS says or does not say. */
export async function checkPersist(
  { issuer, host, challenge }: { issuer: Issuer; host: string; challenge: ChallengeType | null },
  records: Pick<PersistRecords, 'look'>,
  now: number,
): Promise<PersistCheck> {
  const demand = await issuer.persist(host, challenge).catch((error: unknown) => {
    // A CA that cannot be asked is passed over when its turn comes, not here.
    if (error instanceof IssuerFailure || (error as Error).name === 'TimeoutError') return null;
    throw error;
  });
  if (demand === null) return noRecord;
  const question = { host, ...demand };
  const record = {
    host,
    type: 'TXT' as const,
    name: persistName(host),
    value: persistValue(question),
    purpose: 'challenge' as const,
  };
  try {
    const { found: all, judgement } = await records.look(question);
    const found = shownRecords(all, [record.value]);
    if (!judgement.ok) {
      const hint = tellPersist(question, judgement.fault);
      const requirement = { ...record, found, ok: false, hint };
      const seen = { issuer: issuer.name, until: null, requirement };
      return { allowed: !demand.alone, detail: hint, seen };
    }
    const { until } = judgement;
    const soon = until !== null && until - now < persistWarningMs;
    const hint = soon
      ? `The TXT record at ${record.name} runs out at ${iso(until)}; before that, give it a later persistUntil, or none.`
      : null;
    const requirement = { ...record, found, ok: true, hint };
    const seen = { issuer: issuer.name, until: until === null ? null : iso(until), requirement };
    return { allowed: true, detail: '', seen };
  } catch (error) {
    if (!(error instanceof DnsFailure)) throw error;
    const detail = `whether the TXT record at ${record.name} lets the CA issue could not be looked up: ${error.message}`;
    const requirement = { ...record, found: null, ok: false, hint: null };
    return {
      allowed: !demand.alone,
      detail,
      seen: { issuer: issuer.name, until: null, requirement },
    };
  }
}
