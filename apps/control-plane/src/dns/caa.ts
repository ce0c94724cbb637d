import type { ChallengeType, DnsRequirement } from '@lockstep/contract';
import type { CaaRecord } from './caa-record.ts';
import { parseIssueValue } from './caa-value.ts';
import { cnameChain } from './cname-chain.ts';
import { DnsFailure } from './dns-failure.ts';
import type { DnsLookup } from './dns-lookup.ts';
import { shownRecords, shownText } from './shown-records.ts';

export interface CaaQuestion {
  /** The names by which the CA knows itself in CAA records; empty: not checked. */
  identities: readonly string[];
  /** null: not known, so `validationmethods` (RFC 8657) are left to the CA. */
  method: ChallengeType | null;
  /** null: not known, so `accounturi` (RFC 8657) is left to the CA. */
  accountUrl: string | null;
}

export interface CaaResult {
  allowed: boolean;
  /** A sentence that the owner of the host can act on. */
  detail: string;
  /** Of a host that has CAA records: the one that allows it, or that would. */
  requirement: DnsRequirement | null;
}

/**
 * Whether the CAA records of a host let this CA issue, as the CA itself will decide (RFC 8659, section 3): the first set
 * found on the way up counts, the top-level domain's included, and no answer is a no. Never rejects for what the
 * DNS says.
 */
export async function checkCaa(lookup: DnsLookup, host: string, question: CaaQuestion): Promise<CaaResult> {
  if (question.identities.length === 0) return allow('not checked');
  const wildcard = host.startsWith('*.');
  try {
    const relevant = await findRelevantSet(lookup, wildcard ? host.slice(2) : host);
    if (relevant === null) return allow(`${host} has no CAA records, so any CA may issue`);
    const { name, records } = relevant;
    const judged = judge(records, wildcard, question);
    const { tag } = judged;
    const shown = shownRecords(records.map(show).sort());
    const value = `0 ${tag} "${question.identities[0]}"`;
    const row = { host, type: 'CAA', value, purpose: 'caa', found: shown } as const;
    if (judged.allowed) {
      const detail = `the CAA records of ${name} allow it`;
      if (tag === null) return { allowed: true, detail, requirement: null };
      const at = await endOf(lookup, name).catch(() => name); // it is allowed, whether this can be asked or not
      return { allowed: true, detail, requirement: { ...row, name: at, ok: true, hint: null } };
    }
    const refusal = `the CAA records of ${name} (${shown.join(', ')}) ${judged.reason}.`;
    if (tag === null) return { allowed: false, detail: refusal, requirement: null };
    const at = await endOf(lookup, name);
    const detail = `${refusal} Add the CAA record ${value} to ${at}.`;
    return { allowed: false, detail, requirement: { ...row, name: at, ok: false, hint: detail } };
  } catch (error) {
    if (!(error instanceof DnsFailure)) throw error;
    const detail = `A CA issues only when it can look for CAA records, and it could not be done: ${error.message}`;
    return { allowed: false, detail, requirement: null };
  }
}

/** What stands behind a CNAME has to be changed there: beside one there may be no other record. */
async function endOf(lookup: DnsLookup, name: string): Promise<string> {
  return (await cnameChain(lookup, name)).at(-1) ?? name;
}

async function findRelevantSet(lookup: DnsLookup, host: string) {
  const labels = host.split('.');
  for (let from = 0; from < labels.length; from++) {
    const name = labels.slice(from).join('.');
    const records = await lookup.caa(name);
    if (records.length > 0) return { name, records };
  }
  return null;
}

type Judgement =
  | { allowed: true; tag: string | null }
  | { allowed: false; reason: string; tag: string | null };

/** RFC 8659, section 4. `tag` is that of a record which would allow it. */
function judge(records: readonly CaaRecord[], wildcard: boolean, question: CaaQuestion): Judgement {
  const unknown = records.find(({ flags, tag }) => isCritical(flags) && !knownTags.has(tag));
  if (unknown !== undefined) {
    return {
      allowed: false,
      reason: `have a critical tag, "${shownText(unknown.tag)}", that CAs do not know: each has to refuse`,
      tag: null,
    };
  }
  const of = (tag: string) => records.filter((record) => record.tag === tag);
  const tag = wildcard && of('issuewild').length > 0 ? 'issuewild' : 'issue';
  const properties = of(tag).map(({ value }) => parseIssueValue(value));
  if (properties.length === 0) return { allowed: true, tag: null };
  const identities = question.identities.map((identity) => identity.toLowerCase());
  const naming = properties.filter((property) => identities.includes(property?.issuer ?? ''));
  if (naming.length === 0) {
    return { allowed: false, reason: `do not allow ${question.identities.join(' or ')} to issue`, tag };
  }
  const reasons = naming.map((property) => findObstacle(property!.parameters, question));
  if (reasons.includes(null)) return { allowed: true, tag };
  return { allowed: false, reason: reasons[0]!, tag };
}

/** RFC 8657, sections 3 and 4. */
function findObstacle(
  parameters: readonly { tag: string; value: string }[],
  { method, accountUrl }: CaaQuestion,
): string | null {
  const values = (tag: string) =>
    parameters.filter((parameter) => parameter.tag === tag).map(({ value }) => value);
  const accounts = values('accounturi');
  if (accounts.length > 1) return 'name more than one accounturi in one record, which counts for none';
  if (accountUrl !== null && accounts.length > 0 && accounts[0] !== accountUrl) {
    return `allow another account of this CA only; the account here is ${accountUrl}`;
  }
  const methods = values('validationmethods');
  const allows = (list: string) =>
    list
      .split(',')
      .map((word) => word.trim().toLowerCase())
      .includes(method ?? '');
  if (method !== null && methods.length > 0 && !methods.every(allows)) {
    return `allow this CA to validate by ${shownText(methods.join(', '))} only, not by ${method}`;
  }
  return null;
}

/** What CAs understand; Let's Encrypt refuses for any other that is critical. */
const knownTags = new Set(['issue', 'issuewild', 'iodef', 'issuemail']);

/** Bit 0 is the highest; some zones mean the same by 1, and CAs respect it. */
function isCritical(flags: number): boolean {
  return (flags & 0b1000_0001) !== 0;
}

function show({ flags, tag, value }: CaaRecord): string {
  return `${flags} ${tag} "${value}"`;
}

function allow(detail: string): CaaResult {
  return { allowed: true, detail, requirement: null };
}
