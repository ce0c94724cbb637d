import type { DnsProvider } from '@lockstep/contract';
import { providerFacts } from '@lockstep/contract/schemas';
import { invalidField } from '../validation/invalid-field.ts';

/** Throws `invalid_request` where a provider cannot work: a secret that is needed was neither given nor stored before. */
export function checkDnsProvider({ type }: DnsProvider, secret: string | undefined, pointer: string): void {
  const { secret: field, why } = providerFacts[type];
  if (why === null || secret !== undefined) return;
  throw invalidField(
    `${pointer}/${field}`,
    `is needed: ${why}; a stored one is kept only for the same account`,
  );
}
