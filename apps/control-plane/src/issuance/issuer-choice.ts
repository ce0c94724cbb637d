import type { ChallengeType, OrderRecord } from '@lockstep/contract';
import type { Issuer } from '../issuers/issuer.ts';

export interface IssuerChoiceOptions {
  order: OrderRecord;
  /** The chain of the host, by name. */
  chain: string[];
  /** Those that CAA allows. */
  allowed: string[];
  /** What the host's route asks for. */
  challenge: ChallengeType | null;
  find(name: string): Promise<Issuer | null>;
  now: number;
}

export type IssuerChoice =
  /** `others`: what may be tried after it. */
  | { issuer: Issuer; others: string[] }
  /** None may be tried before `until` (milliseconds since 1970); null when there is none at all. */
  | { issuer: null; until: number | null; detail: string };

/**
 * The first issuer of the chain that exists, may certify the host, and did not just fail it. An attempt that moved on goes on from there; at
 * the end of the chain, the first that may be tried again counts, wherever it stands.
 */
export async function chooseIssuer(options: IssuerChoiceOptions): Promise<IssuerChoice> {
  const { order, chain } = options;
  const from = order.issuer === null ? 0 : Math.max(0, chain.indexOf(order.issuer));
  const choice = await chooseFrom(options, from);
  return choice.issuer !== null || from === 0 ? choice : chooseFrom(options, 0);
}

/** The issuers that an order under way may be left for: none that would not take it now. */
export async function issuersAfter(options: Omit<IssuerChoiceOptions, 'allowed'>): Promise<string[]> {
  const { order, chain } = options;
  const at = chain.indexOf(order.issuer ?? '');
  if (at === -1) return [];
  const choice = await chooseFrom({ ...options, allowed: chain }, at + 1);
  return choice.issuer === null ? [] : [choice.issuer.name, ...choice.others];
}

async function chooseFrom(options: IssuerChoiceOptions, from: number): Promise<IssuerChoice> {
  const { order, chain, allowed, challenge, find, now } = options;
  const usable: Issuer[] = [];
  const faults: string[] = [];
  let until: number | null = null;
  for (const name of chain.slice(from)) {
    const issuer = await find(name);
    if (issuer === null) faults.push(`there is no issuer "${name}"`);
    else if (!allowed.includes(name))
      faults.push(`the DNS does not let "${name}" issue: CAA records, or no record for dns-persist-01`);
    else {
      const refusal = issuer.refuses(order.host, challenge);
      const back = Date.parse(order.setbacks[name]?.until ?? '');
      if (refusal !== null) faults.push(refusal);
      else if (back > now) until = Math.min(until ?? back, back);
      else usable.push(issuer);
    }
  }
  const [issuer, ...others] = usable;
  if (issuer !== undefined) return { issuer, others: others.map(({ name }) => name) };
  return { issuer: null, until, detail: faults.join('; ') || 'every issuer of the chain failed' };
}
