import type { DnsRequirement, OwnershipPolicy, OwnershipProof } from '@lockstep/contract';
import { DnsFailure } from '../dns/dns-failure.ts';
import type { Lookups } from '../dns/dns-lookup.ts';
import { shownRecords } from '../dns/shown-records.ts';
import type { HttpAnswer, HttpProofs } from './http-proofs.ts';
import type { OwnershipTokens } from './ownership-tokens.ts';
import { type Claimant, httpProof, requirementsOf, type TxtProof, txtProofs } from './proofs.ts';

export interface OwnershipLook {
  /** How it is proven now; null: it is not, or that could not be told. */
  proven: OwnershipProof | null;
  /** What was found, in a sentence. */
  detail: string;
  /** What has to be there, any of them, and what is. */
  requirements: DnsRequirement[];
}

/** Looks whether a host is proven, and changes nothing. */
export interface OwnershipLooks {
  /** Never throws for what the DNS or a server says or does not say. */
  look(claimant: Claimant, policy: Exclude<OwnershipPolicy, 'off'>): Promise<OwnershipLook>;
  /** Whether the TXT record of a claimant is there: `unknown` where the DNS gave no answer that counts. */
  hasTxt(claimant: Claimant): Promise<'there' | 'gone' | 'unknown'>;
}

export interface OwnershipLooksOptions {
  tokens: OwnershipTokens;
  lookups: Lookups;
  http: HttpProofs;
}

interface FoundTxt {
  proof: TxtProof | null;
  /** At the name that is asked for; null: no answer. */
  values: string[] | null;
  failure: string | null;
}

export function createOwnershipLooks({ tokens, lookups, http }: OwnershipLooksOptions): OwnershipLooks {
  async function findTxt(claimant: Claimant): Promise<FoundTxt> {
    const proofs = await txtProofs(tokens, claimant);
    const lookup = lookups.current();
    const answers = await Promise.all(
      proofs.map(async ({ name }) => {
        try {
          return await lookup.txt(name);
        } catch (error) {
          if (error instanceof DnsFailure) return error;
          throw error;
        }
      }),
    );
    const proof = proofs.find(({ value }, index) => {
      const values = answers[index];
      return Array.isArray(values) && values.some((one) => one.trim() === value);
    });
    const [first] = answers;
    const failure = answers.find((answer) => answer instanceof DnsFailure)?.message ?? null;
    return {
      proof: proof ?? null,
      values: Array.isArray(first) ? shownRecords(first.toSorted(), [proofs[0]?.value ?? '']) : null,
      failure,
    };
  }

  /** Null for a wildcard. */
  async function askServer(claimant: Claimant): Promise<HttpAnswer | null> {
    const proof = await httpProof(tokens, claimant);
    return proof === null ? null : http(claimant.host, proof);
  }

  return {
    async look(claimant, policy) {
      const txt = await findTxt(claimant);
      const served = policy === 'http' && txt.proof === null ? await askServer(claimant) : null;
      const proven = txt.proof !== null ? 'txt' : served?.proven === true ? 'http' : null;
      const requirements = await requirementsOf(tokens, claimant, policy, {
        proven: proven !== null,
        txt: txt.values,
        http: served?.found ?? null,
      });
      if (txt.proof !== null) return { proven, detail: `${txt.proof.name} has the TXT record`, requirements };
      const detail =
        proven === null
          ? adviceOf(claimant, requirements, txt, served?.failure ?? null)
          : `${claimant.host} answers with the text that proves it`;
      return { proven, detail, requirements };
    },
    async hasTxt(claimant) {
      const { proof, failure } = await findTxt(claimant);
      return proof !== null ? 'there' : failure === null ? 'gone' : 'unknown';
    },
  };
}

function adviceOf(
  { host }: Claimant,
  requirements: DnsRequirement[],
  { values, failure }: FoundTxt,
  atServer: string | null,
): string {
  const [txt, http] = requirements;
  const inDns =
    failure ?? (values?.length ? `${txt?.name} has another TXT record` : `${txt?.name} has no TXT record`);
  const seen = atServer === null ? inDns : `${inDns}, and ${http?.name} ${atServer}`;
  const hints = requirements.map(({ hint }) => hint).join(' ');
  return `that ${host} is yours is not proven: ${seen}. ${hints}`;
}
