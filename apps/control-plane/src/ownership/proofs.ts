import { createHash } from 'node:crypto';
import type { DnsRequirement, OwnershipProof } from '@lockstep/contract';
import { identifierOf, registeredDomain } from '../names/registered-domain.ts';
import type { OwnershipTokens } from './ownership-tokens.ts';

/** Whose a host is to be, and by what it may be proven. */
export interface Claimant {
  host: string;
  /** Null: routes without one. */
  tenant: string | null;
}

/** A TXT record that proves a host: at `_lockstep.` and the name. */
export interface TxtProof {
  name: string;
  value: string;
}

/** The text that proves a host, at an address that only tells of it. */
export interface HttpProof {
  path: string;
  text: string;
}

/**
 * The records that prove a host, any of them: at the host itself (of a wildcard, at the name below it), which is the one to ask for; at the
 * name above it; and at its registered domain, so that one record is enough for all that is below.
 */
export async function txtProofs(tokens: OwnershipTokens, { host, tenant }: Claimant): Promise<TxtProof[]> {
  return Promise.all(
    namesAbove(host).map(async (name) => ({ name: `_lockstep.${name}`, value: await tokens(tenant, name) })),
  );
}

/** Null for a wildcard: no server answers for all that it stands for. */
export async function httpProof(
  tokens: OwnershipTokens,
  { host, tenant }: Claimant,
): Promise<HttpProof | null> {
  if (host.startsWith('*.')) return null;
  const text = await tokens(tenant, host);
  // Not the text itself: a server that repeats what it is asked for would prove everything.
  const id = createHash('sha256').update(text).digest('hex').slice(0, 16);
  return { path: `/.well-known/lockstep-ownership/${id}`, text };
}

/** What was found of the proofs of a host; left out: nobody has looked. */
export interface FoundProofs {
  proven: boolean;
  /** Null: no answer could be had. */
  txt: readonly string[] | null;
  http: readonly string[] | null;
}

/** What proves a host, any of them, with what is there. */
export async function requirementsOf(
  tokens: OwnershipTokens,
  claimant: Claimant,
  policy: OwnershipProof,
  found: FoundProofs = { proven: false, txt: null, http: null },
): Promise<DnsRequirement[]> {
  const { host } = claimant;
  const [txt] = await txtProofs(tokens, claimant);
  const http = policy === 'http' ? await httpProof(tokens, claimant) : null;
  const row = (
    type: 'TXT' | 'HTTP',
    name: string,
    value: string,
    there: readonly string[] | null,
    hint: string,
  ): DnsRequirement => ({
    host,
    type,
    name,
    value,
    purpose: 'ownership',
    found: there === null ? null : [...there],
    ok: found.proven,
    hint: found.proven ? null : hint,
  });
  const rows: DnsRequirement[] = [];
  if (txt !== undefined)
    rows.push(
      row(
        'TXT',
        txt.name,
        txt.value,
        found.txt,
        `Create a TXT record for ${txt.name} with the value ${txt.value}.`,
      ),
    );
  if (http !== null) {
    const address = `http://${host}${http.path}`;
    const hint = `Or have ${address} answer with the text ${http.text} alone.`;
    rows.push(row('HTTP', address, http.text, found.http, hint));
  }
  return rows;
}

function namesAbove(host: string): string[] {
  const name = identifierOf(host);
  const domain = registeredDomain(name);
  const above = name.slice(name.indexOf('.') + 1);
  const names = name === domain ? [name] : [name, above, domain];
  return [...new Set(names)];
}
