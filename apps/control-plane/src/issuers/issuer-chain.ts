import { broughtIssuer } from '@lockstep/contract';
import type { Check } from '@lockstep/store';
import { invalidField } from '../validation/invalid-field.ts';
import type { KnownIssuer, KnownIssuers } from './known-issuers.ts';

/** A chain of issuers that all exist, and the checks by which a commit sees to it that they still do. */
export interface CheckedChain {
  issuers: KnownIssuer[];
  checks: Check[];
}

/** Throws `invalid_request` that points at the first name of the chain which no issuer has. */
export async function checkIssuers(
  known: KnownIssuers,
  names: string[],
  pointer = '/issuers',
): Promise<CheckedChain> {
  const issuers: KnownIssuer[] = [];
  for (const [index, issuer] of (await known.getMany(names)).entries()) {
    if (issuer === null) {
      const there = (await known.list()).map(({ name }) => name).join(', ');
      const wayOut = names[index] === broughtIssuer ? '' : ` (PUT /v1/issuers/${names[index]} makes it)`;
      throw invalidField(
        `${pointer}/${index}`,
        `there is no issuer "${names[index]}"; there are: ${there}${wayOut}`,
      );
    }
    issuers.push(issuer);
  }
  const checks = new Map<string, Check>();
  for (const { record } of issuers)
    if (record !== null) checks.set(record.id, { kind: 'issuer', id: record.id, revision: record.revision });
  return { issuers, checks: [...checks.values()] };
}
