import { shownRecords, shownText } from './shown-records.ts';

/**
 * The TXT record of dns-persist-01 (draft-ietf-acme-dns-persist): it lets one account at one CA validate a name, for as long as it stands. Whoever owns the
 * name makes it; nothing here does.
 */
export interface PersistQuestion {
  host: string;
  /** The names that the CA goes by in such records; any of them will do. */
  issuerDomains: readonly string[];
  /** As the CA says it. */
  accountUri: string;
}

/** What one record says; `until` in milliseconds since 1970, null where it stands until it is removed. */
interface PersistRecord {
  accountUri: string;
  wildcard: boolean;
  until: number | null;
}

export type PersistJudgement =
  /** `until`: of the records that allow it, the last moment; null: one has none. */
  { ok: true; until: number | null } | { ok: false; fault: string };

/** The last moment that can be written as a date; what stands longer stands for good. */
const lastDate = 8.64e15;
const prefix = '_validation-persist';
const value = /^[\x21-\x3a\x3c-\x7e]*$/;

/** A wildcard and its name share it. */
export function persistName(host: string): string {
  return `${prefix}.${host.replace(/^\*\./, '')}`;
}

/** What the record has to say. */
export function persistValue({ host, issuerDomains, accountUri }: PersistQuestion): string {
  const policy = host.startsWith('*.') ? '; policy=wildcard' : '';
  return `${issuerDomains[0]}; accounturi=${accountUri}${policy}`;
}

/** What its owner has to do about a record that will not do, in sentences. */
export function tellPersist(question: PersistQuestion, fault: string): string {
  const record = `the TXT record at ${persistName(question.host)}`;
  return `${record} does not let the CA issue: ${fault}. Create one with the value ${persistValue(question)}, and leave it there: renewals need it too.`;
}

/** Whether a CA that finds these records would take one of them. Records of other CAs do not count. */
export function judgePersistRecords(
  records: readonly string[],
  question: PersistQuestion,
  now: number,
): PersistJudgement {
  const judged = records.flatMap((record) => judge(record, question, now) ?? []);
  const dates = judged.flatMap((one) => (one.ok ? [one.until] : []));
  if (dates.length > 0)
    return { ok: true, until: dates.includes(null) ? null : Math.max(...dates.map(Number)) };
  const faults = judged.flatMap((one) => (one.ok ? [] : [one.fault]));
  if (faults.length > 0) return { ok: false, fault: shownRecords([...new Set(faults)]).join('; ') };
  if (records.length === 0) return { ok: false, fault: 'there is none yet' };
  return { ok: false, fault: `none of those there names ${question.issuerDomains.join(' or ')}` };
}

/** Null: it is not this CA's. CAs compare names and account as they are, and an account by RFC 3986, section 6.2.1. */
function judge(record: string, question: PersistQuestion, now: number): PersistJudgement | null {
  const [name = '', ...parts] = record.split(';').map(trim);
  const plain = name.toLowerCase().replace(/\.$/, '');
  if (!question.issuerDomains.includes(plain)) return null;
  const no = (fault: string) => ({ ok: false as const, fault: `the one that names ${plain} ${fault}` });
  if (name !== plain) return no(`has to write it as ${plain}, in small letters and without a dot at the end`);
  const read = readParameters(parts);
  if (typeof read === 'string') return no(read);
  const { accountUri, wildcard, until } = read;
  if (accountUri !== question.accountUri)
    return no(`names another account, ${shownText(accountUri)}; the account here is ${question.accountUri}`);
  if (until !== null && until < now) return no(`ran out at ${dateOf(until)} (persistUntil)`);
  if (question.host.startsWith('*.') && !wildcard)
    return no('lacks policy=wildcard, without which no wildcard may be issued');
  return { ok: true, until: until !== null && until > lastDate ? null : until };
}

/** What is wrong, in words, where a CA could not read them: any of what it does not know it reads over. */
function readParameters(parts: readonly string[]): PersistRecord | string {
  const known = new Map<string, string>();
  for (const part of parts) {
    if (part === '') return 'has a semicolon too many, as one at the end';
    const at = part.indexOf('=');
    const [tag, text] = [trim(part.slice(0, Math.max(at, 0))).toLowerCase(), trim(part.slice(at + 1))];
    if (at < 1 || tag === '') return `has "${shownText(part)}", which is not tag=value`;
    if (!value.test(text))
      return `has a value of ${shownText(tag)} with a space or a sign that may not stand there`;
    if (known.has(tag)) return `has ${shownText(tag)} twice`;
    known.set(tag, text);
  }
  const accountUri = known.get('accounturi') ?? '';
  if (accountUri === '') return 'names no account: accounturi is missing';
  const until = known.get('persistuntil');
  if (until !== undefined && !/^[+-]?\d{1,15}$/.test(until))
    return `has persistUntil=${shownText(until)}, which is not a number of seconds since 1970`;
  return {
    accountUri,
    wildcard: known.get('policy')?.toLowerCase() === 'wildcard',
    until: until === undefined ? null : Number(until) * 1_000,
  };
}

function trim(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}

function dateOf(at: number): string {
  return Math.abs(at) > lastDate ? `${at / 1_000} s` : new Date(at).toISOString();
}
